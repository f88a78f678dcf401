"""Store checked rows: the events, and with them the counts that awarding reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import DatabaseError, connection, transaction

from rewards.exceptions import RewardsError
from rewards.services.db_errors import MAX_TRIES, is_conflict, retry_on_conflict
from rewards.services.hosts import create_hosts_of_table

_CREATE = """
    CREATE TEMPORARY TABLE arrived (
        line bigint, business_date date,
        event_id text, external_id text, kind text, occurred_at timestamptz, seconds integer
    )
"""

_COPY = "COPY arrived FROM STDIN (FORMAT csv)"

# In all that follows, a user or an event is looked up by a subquery of its own: a join would be
# planned without statistics of the temporary table, and may read the whole of the other one.

# One statement, so that what is counted is exactly what was inserted, whoever else is at it.
# Events are written in order of id and counts in order of day and host, so that of two imports
# one waits for the other and they never wait for each other.
_STORE = """
    WITH stored AS (
        INSERT INTO rewards_activityevent
            (source, event_id, user_id, kind, occurred_at, duration_seconds, business_date)
        SELECT DISTINCT ON (event_id COLLATE "C")
            %(source)s, event_id, user_id, kind, occurred_at, seconds, business_date
        FROM arrived
        CROSS JOIN LATERAL (
            SELECT id AS user_id FROM rewards_user
            WHERE external_id = arrived.external_id AND is_host OFFSET 0
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

# A statement of its own, since only a new snapshot shows what was there or got there meanwhile.
_REFUSED = """
    SELECT line, external_id, host.is_host, event_id, event.user_id IS NULL
    FROM arrived
    LEFT JOIN LATERAL (
        SELECT id, is_host FROM rewards_user WHERE external_id = arrived.external_id OFFSET 0
    ) AS host ON true
    LEFT JOIN LATERAL (
        SELECT user_id, kind, occurred_at, duration_seconds FROM rewards_activityevent
        WHERE source = %(source)s AND event_id = arrived.event_id OFFSET 0
    ) AS event ON true
    WHERE host.is_host IS NOT TRUE
        OR (event.user_id, event.kind, event.occurred_at, event.duration_seconds)
            IS DISTINCT FROM (host.id, arrived.kind, arrived.occurred_at, arrived.seconds)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What storing a chunk came to; the rows neither stored nor refused were duplicates."""

    stored: int
    hosts_created: int
    unknown: dict[int, str]
    """Line -> why its user is none to store activity of."""
    conflicts: dict[int, str]
    """Line -> how it contradicts an event stored before."""


def store_rows(*, rows: Sequence[bytes], source: str, create_hosts: bool, now: datetime) -> Stored:
    """Store what is new of a chunk, together with its DailyActivity, in one transaction.

    `rows` are as in Chunk. The number of statements does not depend on them. A second call
    stores nothing. Raises RewardsError when other processes stay in the way.
    """
    try:
        return _store_chunk(rows, source, create_hosts, now)
    except DatabaseError as error:
        if not is_conflict(error):
            raise
        raise RewardsError(
            f"Other processes were in the way {MAX_TRIES} times: {str(error).splitlines()[0]}; "
            "the rows before were stored, safe to run again."
        ) from error


@retry_on_conflict
def _store_chunk(rows: Sequence[bytes], source: str, create_hosts: bool, now: datetime) -> Stored:
    hosts_created = 0
    unknown: dict[int, str] = {}
    conflicts: dict[int, str] = {}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CREATE)
        with connection.wrap_database_errors, cursor.copy(_COPY) as copy:
            copy.write(b"".join(rows))

        if create_hosts:
            hosts_created = create_hosts_of_table(table="arrived", now=now)

        cursor.execute(
            _STORE,
            {"source": source, "min_call_seconds": settings.REWARDS_MIN_CALL_SECONDS},
        )
        (stored,) = cursor.fetchone()

        if stored < len(rows):
            cursor.execute(_REFUSED, {"source": source})
            for line, external_id, is_host, event_id, is_nowhere in cursor:
                if is_host is False:
                    unknown[line] = f"unknown user '{external_id}': there is one, but not a host"
                elif is_host is None or is_nowhere:  # or became a host since
                    unknown[line] = f"unknown user '{external_id}'"
                else:
                    conflicts[line] = (
                        f"conflict: id '{event_id}' already stored with different content"
                    )
        cursor.execute("DROP TABLE arrived")
    return Stored(stored=stored, hosts_created=hosts_created, unknown=unknown, conflicts=conflicts)
