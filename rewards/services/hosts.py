"""The only writer of hosts."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from rewards.engine.business_days import parse_day
from rewards.exceptions import HostChanged, HostRefused, UnknownHost
from rewards.models import Host, User
from rewards.models.user import EXTERNAL_ID_FORMAT, EXTERNAL_ID_PATTERN
from rewards.selectors.prepared import fetch_prepared
from rewards.services.db_errors import LOCK_TIMEOUT, is_sequence_behind, retry_on_conflict

EDITABLE = ("first_name", "last_name", "left_on")
"""The fields that the app sets."""

_NAME = re.compile("[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{0,150}")

# The suffix makes each password hash one that nobody can guess, as Django's own does. The look-up
# is a subquery: incoming rows have no statistics, and a join could be planned as a scan of all
# users.
_INSERT = """
    INSERT INTO rewards_user (
        external_id, username, password, is_host, is_active, is_staff, is_superuser,
        first_name, last_name, left_on, email, date_joined
    )
    SELECT external_id, 'host:' || external_id, '!' || gen_random_uuid() || gen_random_uuid(),
        true, true, false, false, {values}, '', %(now)s::timestamptz
    FROM ({hosts}) AS hosts
    WHERE (SELECT id FROM rewards_user WHERE external_id = hosts.external_id) IS NULL
    ORDER BY external_id COLLATE "C"
    ON CONFLICT DO NOTHING
"""

_CREATE = _INSERT.format(
    values="'', '', NULL::date", hosts="SELECT DISTINCT external_id FROM incoming"
)

# Of several rows of a host the last one counts. COPY reads an empty cell as NULL.
_LATEST = """
    SELECT DISTINCT ON (external_id COLLATE "C")
        external_id, coalesce(first_name, '') AS first_name, coalesce(last_name, '') AS last_name,
        left_on
    FROM incoming
    ORDER BY external_id COLLATE "C", line DESC
"""

_CREATE_WITH_VALUES = _INSERT.format(values="first_name, last_name, left_on", hosts=_LATEST)

# Rows are locked in order of key, so that two imports cannot deadlock.
_UPDATE = f"""
    WITH latest AS MATERIALIZED ({_LATEST}), changed AS MATERIALIZED (
        SELECT host.id, {{values}}
        FROM latest CROSS JOIN LATERAL (
            SELECT * FROM rewards_user
            WHERE external_id = latest.external_id AND is_host OFFSET 0
        ) AS host
        WHERE (host.first_name, host.last_name, host.left_on) IS DISTINCT FROM ({{values}})
    ), locked AS MATERIALIZED (
        SELECT changed.* FROM changed JOIN rewards_user AS host ON host.id = changed.id
        ORDER BY host.id FOR NO KEY UPDATE OF host
    )
    UPDATE rewards_user AS host
    SET first_name = locked.first_name, last_name = locked.last_name, left_on = locked.left_on
    FROM locked WHERE host.id = locked.id
"""  # noqa: S608 - constants

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
    is_new: bool = False


def require_external_id(text: str) -> None:
    """Raise HostRefused unless a host can have this id."""
    if not re.fullmatch(EXTERNAL_ID_PATTERN, text):
        raise HostRefused(f"Bad user_id {text[:80]!a:.80}: use {EXTERNAL_ID_FORMAT}.")


def checked_value(field: str, value: object) -> str | date | None:
    """Return a value of EDITABLE that the app has sent as text. Raises HostRefused.

    `left_on` is a date as YYYY-MM-DD; None clears it.
    """
    if field == "left_on":
        if value is None:
            return None
        if not isinstance(value, str):
            raise HostRefused("Bad left_on: expected a date as text, or null.")
        try:
            return parse_day(value)
        except ValueError as error:
            raise HostRefused(f"Bad left_on: {error}") from None
    if not isinstance(value, str):
        raise HostRefused(f"Bad {field}: expected text.")
    if not _NAME.fullmatch(value):
        raise HostRefused(
            f"Bad {field} {value[:80]!a:.80}: use up to 150 characters, none of them a control "
            "character."
        )
    return value


def create_host(
    *, external_id: str, first_name: str = "", last_name: str = "", left_on: date | None = None
) -> Host:
    """Create a host that the app knows by `external_id`. Raises HostRefused."""
    host = Host(
        external_id=external_id,
        # A colon is refused in the user names of staff, so the two never meet.
        username=f"host:{external_id}",
        first_name=first_name,
        last_name=last_name,
        left_on=left_on,
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


def put_host(*, external_id: str, values: Mapping[str, Any]) -> HostUpdate:
    """Create the host `external_id` with `values`, or change these fields of it.

    `values` has keys of EDITABLE and values of checked_value(). The same call again changes
    nothing. Raises HostRefused, also for a user who is not a host, and OperationalError after two
    waits of LOCK_TIMEOUT.
    """
    require_external_id(external_id)
    try:
        return _put(external_id, values)
    except HostRefused:
        # Created meanwhile by another process, or refused again.
        return _put(external_id, values)


@partial(retry_on_conflict, max_tries=2)
def _put(external_id: str, values: Mapping[str, Any]) -> HostUpdate:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
        # New events of the host do not wait for this lock.
        locked = User.objects.select_for_update(no_key=True)
        user = locked.filter(external_id=external_id).first()
        if user is None:
            host = create_host(external_id=external_id, **values)
            return HostUpdate(host=host, changes={}, is_new=True)
        if not user.is_host:
            raise HostRefused(f"User '{external_id}' is not a host.")
        changes = {
            field: (getattr(user, field), value)
            for field, value in values.items()
            if getattr(user, field) != value
        }
        Host.objects.filter(pk=user.pk).update(**{field: values[field] for field in changes})
        return HostUpdate(host=Host.objects.get(pk=user.pk), changes=changes)


def put_hosts_of_table(*, fields: Collection[str], now: datetime) -> tuple[int, int]:
    """Create or change a host for each row of "incoming"; return the numbers of both.

    "incoming" is a temporary table of the caller's transaction with line, external_id and
    EDITABLE. Only `fields` of a host that exists are changed. A second call changes nothing.
    """
    values = ", ".join(f"{'latest' if name in fields else 'host'}.{name}" for name in EDITABLE)
    with connection.cursor() as cursor:
        cursor.execute(_CREATE_WITH_VALUES, {"now": now})
        created: int = cursor.rowcount
        cursor.execute(_UPDATE.format(values=values))
        return created, cursor.rowcount


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
        row = Host.objects.select_for_update(no_key=True).filter(pk=host).first()
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
        # In order of key, so that two calls cannot deadlock. New events do not wait for the locks.
        rows = Host.objects.filter(pk__in=hosts, left_on__isnull=is_active).order_by("pk")
        changed = list(rows.select_for_update(no_key=True))
        Host.objects.filter(pk__in=[host.pk for host in changed]).update(left_on=last_day)
    return changed


def _require_valid(host: Host) -> None:
    try:
        host.full_clean(exclude=["username", "password"])
    except ValidationError as error:
        raise HostRefused(" ".join(error.messages)) from error
