"""Optimistic locking: a form is refused if what it edits has changed since it was opened."""

import hashlib
from typing import Any, ClassVar, TypeVar

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.forms.models import model_to_dict

from rewards.admin.log import last_entry

Row = TypeVar("Row", bound=Model)


def stale_page_error(row: Model) -> str:
    """Return what to tell the editor of a page that shows an older state of `row`."""
    return (
        f"{row} has changed since you opened this page (last entry in the log: {last_entry(row)}); "
        "reload it and make your change again."
    )


class VersionTokenForm(forms.Form):
    """A form with the version token of what it edits, which a service checks."""

    version_token = forms.CharField(required=False, strip=False, widget=forms.HiddenInput)


class LockedModelForm(forms.ModelForm[Row]):
    """A form that checks the version token itself, for models that Django's admin saves."""

    version_token = forms.CharField(required=False, strip=False, widget=forms.HiddenInput)

    token_fields: ClassVar[tuple[str, ...] | None] = None
    """The fields that the token covers; None for those of the form."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None:
            self.initial["version_token"] = self._version_token()

    def clean(self) -> dict[str, Any] | None:
        if self.instance.pk is not None:
            # The locked row is what is saved, so that no other column is set back either.
            rows = type(self.instance)._base_manager.select_for_update()
            self.instance = rows.get(pk=self.instance.pk)
            if self.cleaned_data["version_token"] != self._version_token():
                raise ValidationError(stale_page_error(self.instance))
        return super().clean()

    def _version_token(self) -> str:
        values = model_to_dict(self.instance, self.token_fields or self._meta.fields)
        for name, value in values.items():
            if isinstance(value, list):  # of related rows, in no order
                values[name] = sorted(row.pk for row in value)
        return hashlib.sha256(repr(sorted(values.items())).encode()).hexdigest()
