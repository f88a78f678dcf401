"""The only writer of hosts."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from rewards.exceptions import HostChanged, HostRefused, UnknownHost
from rewards.models import Host, User
from rewards.selectors.prepared import fetch_prepared
from rewards.services.db_errors import is_sequence_behind

# The suffix makes each password hash one that nobody can guess, as Django's own does. The look-up
# is a subquery: incoming rows have no statistics, and a join could be planned as a scan of all
# users.
_CREATE = """
    INSERT INTO rewards_user (
        external_id, username, password, is_host, is_active, is_staff, is_superuser,
        first_name, last_name, email, date_joined
    )
    SELECT external_id, 'host:' || external_id, '!' || gen_random_uuid() || gen_random_uuid(),
        true, true, false, false, '', '', '', %(now)s::timestamptz
    FROM (SELECT DISTINCT external_id FROM incoming) AS hosts
    WHERE (SELECT id FROM rewards_user WHERE external_id = hosts.external_id) IS NULL
    ORDER BY external_id COLLATE "C"
    ON CONFLICT DO NOTHING
"""

_CREATE_FROM_ARRAY = f"""
    WITH incoming AS (
        SELECT ids.external_id FROM unnest(%(external_ids)s::text[]) AS ids (external_id)
        CROSS JOIN set_config('lock_timeout', %(lock_timeout)s, true)
    )
    {_CREATE}
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True, kw_only=True)
class HostUpdate:
    """A host, and what an update changed."""

    host: Host
    changes: Mapping[str, tuple[object, object]]
    """Field -> value before and value now."""


def create_host(*, external_id: str, first_name: str = "", last_name: str = "") -> Host:
    """Create a host that the app knows by `external_id`. Raises HostRefused."""
    host = Host(
        external_id=external_id,
        # A colon is refused in the user names of staff, so the two never meet.
        username=f"host:{external_id}",
        first_name=first_name,
        last_name=last_name,
        is_host=True,
    )
    host.set_unusable_password()
    _require_valid(host)
    try:
        with transaction.atomic():
            host.save(force_insert=True)
    except IntegrityError as error:
        if is_sequence_behind(error):
            raise
        raise HostRefused(f"Another host with the id {external_id} was just created.") from error
    return host


def create_hosts_of_table(*, now: datetime) -> int:
    """Create a host for each `external_id` that no user has; return their number.

    The ids are in "incoming", a temporary table of the caller's transaction. A second call creates
    none.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CREATE, {"now": now})
        created: int = cursor.rowcount
    return created


def create_hosts_of_ids(*, external_ids: Sequence[str], now: datetime, lock_timeout: str) -> None:
    """Create a host for each of `external_ids` that no user has, as create_hosts_of_table().

    `lock_timeout` is that of the transaction from here on.
    """
    fetch_prepared(
        _CREATE_FROM_ARRAY,
        {"external_ids": external_ids, "now": now, "lock_timeout": lock_timeout},
    )


def is_user_name_taken(external_id: str) -> bool:
    """Return whether a user has the name that the host `external_id` would have."""
    return User.objects.filter(username=f"host:{external_id}").exists()


def update_host(
    *,
    host: int,
    first_name: str,
    last_name: str,
    left_on: date | None,
    expected_token: str,
) -> HostUpdate:
    """Change the names and the last day of the host with this primary key.

    `expected_token` is the version token that the editor's page showed; HostChanged if the host
    has changed since (optimistic locking). Only changed fields are written. Raises UnknownHost
    and HostRefused.
    """
    wanted = {"first_name": first_name, "last_name": last_name, "left_on": left_on}
    with transaction.atomic():
        row = Host.objects.select_for_update().filter(pk=host).first()
        if row is None:
            raise UnknownHost(f"There is no host {host}.")
        if row.version_token != expected_token:
            raise HostChanged(f"{row} has been changed since you opened it.")
        changes = {
            field: (getattr(row, field), value)
            for field, value in wanted.items()
            if getattr(row, field) != value
        }
        for field, (_, value) in changes.items():
            setattr(row, field, value)
        if changes:
            _require_valid(row)
            row.save(update_fields=changes)
    return HostUpdate(host=row, changes=changes)


def deactivate(*, hosts: Collection[int], last_day: date) -> list[Host]:
    """Set the last day of `hosts`; one that has a last day keeps it. Return the hosts changed."""
    return _set_last_day(hosts, last_day, is_active=True)


def reactivate(*, hosts: Collection[int]) -> list[Host]:
    """Clear the last day of `hosts`. Return those that had one, as they were."""
    return _set_last_day(hosts, None, is_active=False)


def _set_last_day(hosts: Collection[int], last_day: date | None, *, is_active: bool) -> list[Host]:
    with transaction.atomic():
        # In order of key, so that two calls cannot deadlock.
        rows = Host.objects.filter(pk__in=hosts, left_on__isnull=is_active).order_by("pk")
        changed = list(rows.select_for_update())
        Host.objects.filter(pk__in=[host.pk for host in changed]).update(left_on=last_day)
    return changed


def _require_valid(host: Host) -> None:
    try:
        host.full_clean(exclude=["username", "password"])
    except ValidationError as error:
        raise HostRefused(" ".join(error.messages)) from error
