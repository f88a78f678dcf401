"""Those who may sign in here; only superusers decide who, and what they may do."""

from typing import Any, TypeVar

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as BaseGroupAdmin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from rewards.admin.big_list import BigListAdmin
from rewards.admin.formatting import format_datetime
from rewards.admin.theme import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from rewards.models import User

Row = TypeVar("Row", bound=Model)


class SuperuserOnly(BigListAdmin[Row]):
    """An admin that could hand out rights, and so is for those who have them all."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def has_view_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return self.has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return self.has_add_permission(request)


@admin.register(User)
class StaffAdmin(BaseUserAdmin[User], SuperuserOnly[User]):
    form = UserChangeForm  # type: ignore[assignment] # generic in the stubs, not at run time
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm

    list_title = "Staff"
    lookups = frozenset({"is_superuser__exact", "is_active__exact"})
    actions = None
    list_display = ("username", "full_name", "email", "is_superuser", "is_active", "last_seen")
    list_filter = ("is_superuser", "is_active")
    search_help_text = "User name, name or e-mail address"
    ordering = ("username",)

    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        # Rights come with groups, so that they have names; none are given one by one.
        ("Rights", {"fields": ("is_active", "is_superuser", "groups")}),
        ("Dates", {"fields": ("last_seen", "known_since")}),
    )
    filter_horizontal = ()  # the theme's two lists are wider than the page

    @admin.display(description="name")
    def full_name(self, user: User) -> str:
        return user.get_full_name() or "–"  # noqa: RUF001 - nothing to show

    @admin.display(description="last login", empty_value="never")
    def last_seen(self, user: User) -> str | None:
        return format_datetime(user.last_login)

    @admin.display(description="known since")
    def known_since(self, user: User) -> str | None:
        return format_datetime(user.date_joined)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup in self.lookups

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).filter(is_staff=True)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Nobody deletes staff: their entries in the log would go with them."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        # Whoever takes the last superuser's rights away must be another superuser.
        own = ("is_active", "is_superuser") if obj is not None and obj == request.user else ()
        return ("last_seen", "known_since", *own)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        obj.is_staff = True
        super().save_model(request, obj, form, change)

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        if add:
            return "Added."
        return changes(form)


admin.site.unregister(Group)


@admin.register(Group)
class StaffGroupAdmin(BaseGroupAdmin, SuperuserOnly[Group]):
    """Joining a group is being given its rights, and so is editing one."""

    list_title = "Groups"
    filter_horizontal = ()

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return self.has_add_permission(request)


def changes(form: Any) -> str:
    """Return what a form changed, with old and new values; of a password only that it did."""
    parts = []
    for name in form.changed_data:
        if "password" in name:
            parts.append("password changed")
        else:
            before, after = _shown(form.initial.get(name)), _shown(form.cleaned_data[name])
            parts.append(f"{name}: was {before}, now {after}")
    return "; ".join(parts) or "Nothing changed."


def _shown(value: Any) -> str:
    if isinstance(value, list | QuerySet):
        return ", ".join(sorted(str(item) for item in value)) or "none"
    return "none" if value in (None, "") else str(value)
