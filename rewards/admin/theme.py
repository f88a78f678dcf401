"""The theme's classes, typed.

django-unfold ships no types. What it offers here extends Django's own classes, so the type checker
sees those. Nothing else of this package imports the theme.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from unfold.decorators import display as _display

if TYPE_CHECKING:
    from django import forms
    from django.contrib.admin import ModelAdmin
    from django.contrib.admin.widgets import AdminDateWidget as DateWidget
    from django.contrib.admin.widgets import AdminTextInputWidget as TextWidget
    from django.contrib.auth.forms import AdminPasswordChangeForm, UserChangeForm
    from django.contrib.auth.forms import AdminUserCreationForm as UserCreationForm
    from django.forms import CheckboxInput as SwitchWidget
    from django.forms import CheckboxSelectMultiple as CheckboxesWidget
    from django.forms import Select as SelectWidget

    class RangeDateForm(forms.Form):
        def __init__(self, *, name: str, data: Mapping[str, Any]) -> None: ...

else:
    from unfold.admin import ModelAdmin
    from unfold.contrib.filters.forms import RangeDateForm
    from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
    from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget as CheckboxesWidget
    from unfold.widgets import UnfoldAdminSelectWidget as SelectWidget
    from unfold.widgets import UnfoldAdminSingleDateWidget as DateWidget
    from unfold.widgets import UnfoldAdminTextInputWidget as TextWidget
    from unfold.widgets import UnfoldBooleanSwitchWidget as SwitchWidget

__all__ = [
    "AdminPasswordChangeForm",
    "CheckboxesWidget",
    "DateWidget",
    "ModelAdmin",
    "RangeDateForm",
    "SelectWidget",
    "SwitchWidget",
    "TextWidget",
    "UserChangeForm",
    "UserCreationForm",
    "badge",
]

Shown = TypeVar("Shown", bound=Callable[..., object])


def badge(*, description: str, colours: Mapping[Any, str]) -> Callable[[Shown], Shown]:
    """Show what a display method returns, (key, text), as a badge in the colour of the key.

    A colour is "success", "info", "warning" or "danger".
    """

    def decorate(method: Shown) -> Shown:
        shown: Shown = _display(description=description, label=dict(colours))(method)
        return shown

    return decorate
