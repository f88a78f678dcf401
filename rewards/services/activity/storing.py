"""Store checked rows: events, and the counts per host and day that awarding reads."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, transaction

from rewards.engine.values import Facts
from rewards.exceptions import RewardsError
from rewards.selectors.prepared import fetch_prepared
from rewards.services.activity.rows import CheckedEvent
from rewards.services.db_errors import retry_chunk_on_conflict, sequence_behind
from rewards.services.hosts import (
    create_hosts_of_ids,
    create_hosts_of_table,
    is_user_name_taken,
)
from rewards.services.unchanged_settings import record_min_call_seconds

# Both entrances store with the same SQL, which reads the relation "incoming": for a file a
# temporary table filled by COPY, for a request a WITH query over arrays. Arrays take half the time
# for one event, COPY takes less from about a thousand on.

_CREATE = """
    CREATE TEMPORARY TABLE incoming (
        line bigint, business_date date,
        event_id text, external_id text, kind text, occurred_at timestamptz, seconds integer
    )
"""

_COPY = "COPY incoming FROM STDIN (FORMAT csv)"

# A request waits less for locks than a run. No row is read before the timeout is set.
_ARRAYS = """
    incoming AS (
        SELECT arrays.*
        FROM unnest(
            %(line)s::bigint[], %(business_date)s::date[],
            %(event_id)s::text[], %(external_id)s::text[], %(kind)s::text[],
            %(occurred_at)s::timestamptz[], %(seconds)s::integer[]
        ) AS arrays (line, business_date, event_id, external_id, kind, occurred_at, seconds)
        CROSS JOIN set_config('lock_timeout', %(lock_timeout)s, true)
    )
"""

# Look-ups are LATERAL subqueries: incoming rows have no statistics, and a join could be planned as
# a scan of the whole other table. OFFSET 0 keeps them from being made a join.

# One statement, so that exactly the inserted events are counted, also with concurrent imports.
# Events are inserted in order of id and counts in order of day and host, so that concurrent
# imports cannot deadlock.
_STORED = """stored AS (
        INSERT INTO rewards_activityevent
            (source, event_id, user_id, kind, occurred_at, duration_seconds, business_date)
        SELECT DISTINCT ON (event_id COLLATE "C")
            %(source)s::text, event_id, user_id, kind, occurred_at, seconds, business_date
        FROM incoming
        CROSS JOIN LATERAL (
            SELECT id AS user_id FROM rewards_user
            WHERE external_id = incoming.external_id AND is_host OFFSET 0
        ) AS host
        ORDER BY event_id COLLATE "C", line
        ON CONFLICT (source, event_id) DO NOTHING
        RETURNING user_id, kind, duration_seconds, business_date
    ), added AS (
        SELECT
            business_date,
            user_id,
            count(*) FILTER (WHERE kind = 'login') AS logins,
            count(*) FILTER (WHERE kind = 'audio_call') AS audio_calls,
            count(*) FILTER (WHERE kind = 'video_call') AS video_calls,
            coalesce(sum(duration_seconds) FILTER (WHERE kind = 'audio_call'), 0) AS audio_seconds,
            coalesce(sum(duration_seconds) FILTER (WHERE kind = 'video_call'), 0) AS video_seconds
        FROM stored
        WHERE kind = 'login' OR duration_seconds >= %(min_call_seconds)s::integer
        GROUP BY business_date, user_id
    ), counted AS (
        INSERT INTO rewards_dailyactivity AS daily
            (date, user_id, logins, audio_calls, video_calls, audio_seconds, video_seconds)
        SELECT
            business_date, user_id,
            logins, audio_calls, video_calls, audio_seconds, video_seconds
        FROM added
        ORDER BY business_date, user_id
        ON CONFLICT (date, user_id) DO UPDATE SET
            logins = daily.logins + excluded.logins,
            audio_calls = daily.audio_calls + excluded.audio_calls,
            video_calls = daily.video_calls + excluded.video_calls,
            audio_seconds = daily.audio_seconds + excluded.audio_seconds,
            video_seconds = daily.video_seconds + excluded.video_seconds
        RETURNING date, user_id, logins, audio_calls, video_calls
    )
"""

_STORE = f"WITH {_STORED} SELECT count(*) FROM stored"  # noqa: S608 - constants

# The number of events stored, and for each day and host counted what was added, then what it is
# now. A join of the last two could be planned for a few rows, as a nested loop over a thousand.
STORE_ARRAYS = f"""
    WITH {_ARRAYS}, {_STORED}
    SELECT NULL::date, NULL::bigint, NULL::text, NULL::date, count(*), NULL::bigint, NULL::bigint
    FROM stored
    UNION ALL
    SELECT business_date, user_id, NULL, NULL, logins, audio_calls, video_calls FROM added
    UNION ALL
    SELECT date, user_id, external_id, left_on, logins, audio_calls, video_calls
    FROM counted CROSS JOIN LATERAL (
        SELECT external_id, left_on FROM rewards_user WHERE id = counted.user_id OFFSET 0
    ) AS host
"""  # noqa: S608 - constants

# A separate statement, because only a new snapshot shows what other imports have committed.
_REJECTED = """
    SELECT line, external_id, host.is_host, event_id, event.user_id IS NULL
    FROM incoming
    LEFT JOIN LATERAL (
        SELECT id, is_host FROM rewards_user WHERE external_id = incoming.external_id OFFSET 0
    ) AS host ON true
    LEFT JOIN LATERAL (
        SELECT user_id, kind, occurred_at, duration_seconds FROM rewards_activityevent
        WHERE source = %(source)s::text AND event_id = incoming.event_id OFFSET 0
    ) AS event ON true
    WHERE host.is_host IS NOT TRUE
        OR (event.user_id, event.kind, event.occurred_at, event.duration_seconds)
            IS DISTINCT FROM (host.id, incoming.kind, incoming.occurred_at, incoming.seconds)
"""

_REJECTED_ARRAYS = f"WITH {_ARRAYS} {_REJECTED}"


class CountedDay(NamedTuple):
    """A business day of a host to which a call of store_events() has added."""

    day: date
    user: int
    external_id: str
    left_on: date | None
    after: Facts
    """With what was added. The row is locked: nobody else changes it before the commit."""
    added: Facts
    """Counts added by this call; `active_days` is 0."""

    @property
    def before(self) -> Facts:
        logins, audio_calls, video_calls = (
            after - added for after, added in zip(self.after[:3], self.added[:3], strict=True)
        )
        is_active = bool(logins or audio_calls or video_calls)
        return Facts(logins, audio_calls, video_calls, active_days=int(is_active))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvents:
    """The result of storing events. Those neither stored nor rejected were duplicates."""

    stored: int
    rejected: dict[int, tuple[str, str]]
    """Line -> category, "user" or "conflict", and reason."""
    days: list[CountedDay]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRows:
    """The result of storing a chunk. Rows that are neither stored nor rejected were duplicates."""

    stored: int
    hosts_created: int
    rejected: dict[int, tuple[str, str]]
    """Line -> category, "user" or "conflict", and reason."""


@retry_chunk_on_conflict
def store_rows(
    *, rows: Sequence[bytes], source: str, create_hosts: bool, now: datetime
) -> StoredRows:
    """Store new events together with their DailyActivity, in one transaction.

    `rows` are those of a Chunk. The number of statements does not depend on their number. A
    second call stores nothing. Raises RewardsError after repeated conflicts.
    """
    hosts_created = 0
    rejected: dict[int, tuple[str, str]] = {}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CREATE)
        with connection.wrap_database_errors, cursor.copy(_COPY) as copy:
            copy.write(b"".join(rows))

        if create_hosts:
            hosts_created = create_hosts_of_table(now=now)

        cursor.execute(
            _STORE,
            {"source": source, "min_call_seconds": settings.REWARDS_MIN_CALL_SECONDS},
        )
        (stored,) = cursor.fetchone()
        if stored:
            record_min_call_seconds()

        if stored < len(rows):
            cursor.execute(_REJECTED, {"source": source})
            rejected = _reasons(cursor.fetchall(), create_hosts=create_hosts)
        cursor.execute("DROP TABLE incoming")
    return StoredRows(stored=stored, hosts_created=hosts_created, rejected=rejected)


def store_events(
    *,
    events: Sequence[CheckedEvent],
    source: str,
    create_hosts: bool,
    now: datetime,
    lock_timeout: str,
    is_recorded: bool,
) -> StoredEvents:
    """Store new events together with their DailyActivity, in the caller's transaction.

    As store_rows(), in three statements at most: hosts, events, and if not all were stored, why.
    `is_recorded` says that the settings of the counts are recorded; without it, they are.
    """
    arrays: dict[str, Any] = {
        name: [getattr(event, name) for event in events] for name in CheckedEvent._fields
    }
    parameters = arrays | {
        "source": source,
        "min_call_seconds": settings.REWARDS_MIN_CALL_SECONDS,
        "lock_timeout": lock_timeout,
    }
    if create_hosts:
        create_hosts_of_ids(external_ids=arrays["external_id"], now=now, lock_timeout=lock_timeout)
    rows = fetch_prepared(STORE_ARRAYS, parameters)
    (stored,) = (row[4] for row in rows if row[0] is None)
    if stored and not is_recorded:
        record_min_call_seconds()
    rejected = {}
    if stored < len(events):
        rejected = _reasons(fetch_prepared(_REJECTED_ARRAYS, parameters), create_hosts=create_hosts)
    return StoredEvents(
        stored=stored,
        rejected=rejected,
        days=_counted_days([row for row in rows if row[0] is not None]),
    )


def _counted_days(rows: Sequence[tuple[Any, ...]]) -> list[CountedDay]:
    """Return the days of rows of STORE_ARRAYS, each from one of `added` and one of `counted`."""
    added = {row[:2]: Facts._make([*row[4:], 0]) for row in rows if row[2] is None}
    return [
        CountedDay(
            day=day,
            user=user,
            external_id=external_id,
            left_on=left_on,
            after=Facts(logins, audio_calls, video_calls, active_days=1),
            added=added[day, user],
        )
        for day, user, external_id, left_on, logins, audio_calls, video_calls in rows
        if external_id is not None
    ]


def _reasons(rows: Iterable[tuple[Any, ...]], *, create_hosts: bool) -> dict[int, tuple[str, str]]:
    """Return line -> category and reason, of rows of _REJECTED. Raises RewardsError."""
    rejected = {}
    for line, external_id, is_host, event_id, is_missing in rows:
        if is_host is None and create_hosts and not is_user_name_taken(external_id):
            # The host was not created although its keys are new: its primary key was not.
            raise RewardsError(sequence_behind("rewards_user"))
        if is_host is False:
            rejected[line] = "user", f"User '{external_id}' is not a host."
        elif is_host is None or is_missing:  # missing if the host was created since
            rejected[line] = "user", f"Unknown user '{external_id}'."
        else:
            rejected[line] = (
                "conflict",
                f"Conflict: event '{event_id}' is already stored with different content.",
            )
    return rejected
