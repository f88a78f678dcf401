"""Store checked rows: events, and the counts per host and day that awarding reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import DatabaseError, connection, transaction

from rewards.exceptions import RewardsError
from rewards.services.db_errors import (
    MAX_TRIES,
    first_line,
    is_conflict,
    retry_on_conflict,
    sequence_behind,
)
from rewards.services.hosts import create_hosts_of_table, is_user_name_taken
from rewards.services.unchanged_settings import record_min_call_seconds

_CREATE = """
    CREATE TEMPORARY TABLE incoming (
        line bigint, business_date date,
        event_id text, external_id text, kind text, occurred_at timestamptz, seconds integer
    )
"""

_COPY = "COPY incoming FROM STDIN (FORMAT csv)"

# Look-ups are LATERAL subqueries: the temporary table has no statistics, and a join could be
# planned as a scan of the whole other table. OFFSET 0 keeps them from being made a join.

# One statement, so that exactly the inserted events are counted, also with concurrent imports.
# Events are inserted in order of id and counts in order of day and host, so that concurrent
# imports cannot deadlock.
_STORE = """
    WITH stored AS (
        INSERT INTO rewards_activityevent
            (source, event_id, user_id, kind, occurred_at, duration_seconds, business_date)
        SELECT DISTINCT ON (event_id COLLATE "C")
            %(source)s, event_id, user_id, kind, occurred_at, seconds, business_date
        FROM incoming
        CROSS JOIN LATERAL (
            SELECT id AS user_id FROM rewards_user
            WHERE external_id = incoming.external_id AND is_host OFFSET 0
        ) AS host
        ORDER BY event_id COLLATE "C", line
        ON CONFLICT (source, event_id) DO NOTHING
        RETURNING user_id, kind, duration_seconds, business_date
    ), counted AS (
        INSERT INTO rewards_dailyactivity AS daily
            (date, user_id, logins, audio_calls, video_calls, audio_seconds, video_seconds)
        SELECT
            business_date,
            user_id,
            count(*) FILTER (WHERE kind = 'login'),
            count(*) FILTER (WHERE kind = 'audio_call'),
            count(*) FILTER (WHERE kind = 'video_call'),
            coalesce(sum(duration_seconds) FILTER (WHERE kind = 'audio_call'), 0),
            coalesce(sum(duration_seconds) FILTER (WHERE kind = 'video_call'), 0)
        FROM stored
        WHERE kind = 'login' OR duration_seconds >= %(min_call_seconds)s
        GROUP BY business_date, user_id
        ORDER BY business_date, user_id
        ON CONFLICT (date, user_id) DO UPDATE SET
            logins = daily.logins + excluded.logins,
            audio_calls = daily.audio_calls + excluded.audio_calls,
            video_calls = daily.video_calls + excluded.video_calls,
            audio_seconds = daily.audio_seconds + excluded.audio_seconds,
            video_seconds = daily.video_seconds + excluded.video_seconds
    )
    SELECT count(*) FROM stored
"""

# A separate statement, because only a new snapshot shows what other imports have committed.
_REJECTED = """
    SELECT line, external_id, host.is_host, event_id, event.user_id IS NULL
    FROM incoming
    LEFT JOIN LATERAL (
        SELECT id, is_host FROM rewards_user WHERE external_id = incoming.external_id OFFSET 0
    ) AS host ON true
    LEFT JOIN LATERAL (
        SELECT user_id, kind, occurred_at, duration_seconds FROM rewards_activityevent
        WHERE source = %(source)s AND event_id = incoming.event_id OFFSET 0
    ) AS event ON true
    WHERE host.is_host IS NOT TRUE
        OR (event.user_id, event.kind, event.occurred_at, event.duration_seconds)
            IS DISTINCT FROM (host.id, incoming.kind, incoming.occurred_at, incoming.seconds)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRows:
    """The result of storing a chunk. Rows that are neither stored nor rejected were duplicates."""

    stored: int
    hosts_created: int
    rejected: dict[int, tuple[str, str]]
    """Line -> category, "user" or "conflict", and reason."""


def store_rows(
    *, rows: Sequence[bytes], source: str, create_hosts: bool, now: datetime
) -> StoredRows:
    """Store new events together with their DailyActivity, in one transaction.

    `rows` are those of a Chunk. The number of statements does not depend on their number. A
    second call stores nothing. Raises RewardsError after repeated conflicts.
    """
    try:
        return _store_chunk(rows, source, create_hosts, now)
    except DatabaseError as error:
        if not is_conflict(error):
            raise
        raise RewardsError(
            f"Gave up after {MAX_TRIES} conflicts with other processes: {first_line(error)}. "
            "The rows before were stored; safe to run again."
        ) from error


@retry_on_conflict
def _store_chunk(
    rows: Sequence[bytes], source: str, create_hosts: bool, now: datetime
) -> StoredRows:
    hosts_created = 0
    rejected: dict[int, tuple[str, str]] = {}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CREATE)
        with connection.wrap_database_errors, cursor.copy(_COPY) as copy:
            copy.write(b"".join(rows))

        if create_hosts:
            hosts_created = create_hosts_of_table(table="incoming", now=now)

        cursor.execute(
            _STORE,
            {"source": source, "min_call_seconds": settings.REWARDS_MIN_CALL_SECONDS},
        )
        (stored,) = cursor.fetchone()
        if stored:
            record_min_call_seconds()

        if stored < len(rows):
            cursor.execute(_REJECTED, {"source": source})
            for line, external_id, is_host, event_id, is_missing in cursor:
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
        cursor.execute("DROP TABLE incoming")
    return StoredRows(stored=stored, hosts_created=hosts_created, rejected=rejected)
