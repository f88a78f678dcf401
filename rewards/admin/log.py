"""Entries of the admin's log: each change with its values before and after."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from rewards.admin.formatting import format_datetime
from rewards.models import User


def describe_changes(changes: Mapping[str, tuple[object, object]]) -> str:
    """Return the changes of `field label -> (value before, value now)` in a sentence."""
    parts = [
        f"{label}: was {_shown(before)}, now {_shown(now)}"
        for label, (before, now) in changes.items()
    ]
    return f"{'; '.join(parts)}." if parts else "Nothing changed."


def describe_form(form: Any) -> str:
    """Return what a form changed, without passwords."""
    if "password" in form.changed_data:
        return "Password changed."
    return describe_changes(
        {
            str(form[name].label): (form.initial.get(name), form.cleaned_data[name])
            for name in form.changed_data
        }
    )


def log(request: HttpRequest, rows: Iterable[Model], flag: int, message: str) -> None:
    """Write an entry for each of `rows`."""
    LogEntry.objects.log_actions(
        user_id=cast(User, request.user).pk,
        queryset=rows,
        action_flag=flag,
        change_message=message,
    )


def last_entry(row: Model) -> str:
    """Return who changed `row` last according to the log, and when."""
    entry = (
        LogEntry.objects.filter(
            content_type=ContentType.objects.get_for_model(row, for_concrete_model=False),
            object_id=row.pk,
        )
        .select_related("user")
        .first()
    )
    return f"{entry.user}, {format_datetime(entry.action_time)}" if entry else "none"


def _shown(value: object) -> str:
    if isinstance(value, list | QuerySet):
        return ", ".join(sorted(str(item) for item in value)) or "none"
    return "none" if value in (None, "") else str(value)
