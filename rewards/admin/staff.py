"""Staff and groups, for superusers only. Django's own admin saves them."""

from typing import Any, TypeVar

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as BaseGroupAdmin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from rewards.admin.big_list import BigListAdmin, column
from rewards.admin.formatting import NOTHING, format_datetime
from rewards.admin.locking import LockedModelForm
from rewards.admin.log import describe_form
from rewards.admin.theme import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from rewards.models import User

Row = TypeVar("Row", bound=Model)


class SuperuserAdmin(BigListAdmin[Row]):
    """An admin for superusers only, because it grants permissions."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def has_view_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return self.has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return self.has_add_permission(request)

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        return "Added." if add else describe_form(form)


class StaffForm(LockedModelForm[User], UserChangeForm):  # type: ignore[type-arg] # not at run time
    pass


class NewStaffForm(UserCreationForm):  # type: ignore[type-arg] # not at run time
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instance.is_staff = True


@admin.register(User)
class StaffAdmin(BaseUserAdmin[User], SuperuserAdmin[User]):
    form = StaffForm
    add_form = NewStaffForm
    change_password_form = AdminPasswordChangeForm

    lookups = frozenset({"is_superuser__exact", "is_active__exact"})
    actions = None
    list_display = ("username", "full_name", "email", "is_superuser", "is_active", "last_seen")
    list_filter = ("is_superuser", "is_active")
    search_help_text = "User name, name or e-mail address"
    ordering = ("username",)

    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        # Permissions come with groups, so that they have names.
        ("Permissions", {"fields": ("is_active", "is_superuser", "groups")}),
        ("Dates", {"fields": ("last_seen", "known_since")}),
    )
    filter_horizontal = ()  # the theme's two lists are wider than the page

    full_name = column("name", lambda user: user.get_full_name() or NOTHING)
    last_seen = column("last login", lambda user: format_datetime(user.last_login) or "never")
    known_since = column("known since", lambda user: format_datetime(user.date_joined))

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup in self.lookups

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).filter(is_staff=True)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Nobody deletes staff: their entries in the log would be deleted too."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        # Only another superuser takes a superuser's permissions away, so that one remains.
        own = ("is_active", "is_superuser") if obj is not None and obj == request.user else ()
        return ("last_seen", "known_since", *own)


admin.site.unregister(Group)


class GroupForm(LockedModelForm[Group]):
    class Meta:
        model = Group
        fields = ("name", "permissions")


@admin.register(Group)
class GroupAdmin(BaseGroupAdmin, SuperuserAdmin[Group]):
    """The members of a group have its permissions."""

    form = GroupForm
    filter_horizontal = ()

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return self.has_add_permission(request)
