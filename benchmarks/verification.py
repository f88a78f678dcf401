"""verify_ledger against one sequential aggregate of the ledger."""

import time
from statistics import median
from typing import Any

from benchmarks import dataset
from benchmarks.history import grow
from benchmarks.server import Server
from benchmarks.variants import ordinary_day, run_worker

ROWS_FOR_EACH_HOST = 10

# The target is against the first; the second is what reading the events costs anyone.
AGGREGATES = {
    "one aggregate": """
        SELECT count(*), sum(points) FROM (
            SELECT user_id, sum(points) AS points FROM rewards_scorehistory GROUP BY user_id
        ) AS hosts
    """,
    "one aggregate of its events": """
        SELECT business_date, kind, count(*), sum(duration_seconds) FROM rewards_activityevent
        GROUP BY business_date, kind
    """,
}

# What `grow` leaves out, since awarding does not read it: the activity of the past, the events of
# all activity, and the shards of the runs.
_REST = [
    """
    INSERT INTO rewards_dailyactivity
        (date, user_id, logins, audio_calls, video_calls, audio_seconds, video_seconds)
    SELECT reference_date, user_id, logins, audio_calls, video_calls, audio_seconds, video_seconds
    FROM rewards_awardrun, rewards_dailyactivity
    WHERE reference_date < %(day)s
    ORDER BY 1, 2
    """,
    """
    INSERT INTO rewards_activityevent (source, event_id, user_id, kind, occurred_at,
        duration_seconds, business_date, received_at)
    SELECT 'app', concat_ws('-', date, user_id, kind, n), user_id, kind,
        (date + interval '12 hours') AT TIME ZONE 'UTC',
        CASE kind WHEN 'audio_call' THEN 180 WHEN 'video_call' THEN 240 ELSE 0 END, date, now()
    FROM rewards_dailyactivity
    CROSS JOIN LATERAL (VALUES
        ('login', logins), ('audio_call', audio_calls), ('video_call', video_calls)
    ) AS counts (kind, events)
    CROSS JOIN LATERAL generate_series(1, events) AS n
    ORDER BY date, user_id
    """,
    """
    INSERT INTO rewards_awardshard (run_id, after_user, through_user, status, finished_at,
        awards, points)
    SELECT id, 0, 1, 'done', finished_at, awards, points FROM rewards_awardrun
    """,
]


def measure(server: Server, *, hosts: int, rounds: int) -> dict[str, Any]:
    """Do both on the same ledger, in turn; all activity has been awarded."""
    ordinary_day(server, "verification", hosts=hosts, days=0)
    length = grow(server, "verification", rows=hosts * ROWS_FOR_EACH_HOST)
    with server.connect("verification") as connection:
        connection.execute("SET session_replication_role = replica")
        for statement in _REST:
            connection.execute(statement, {"day": dataset.YESTERDAY})
    dataset.settle(server, "verification")
    server.warm("verification")
    seconds: dict[str, list[float]] = {way: [] for way in ("verify_ledger", *AGGREGATES)}
    for _ in range(rounds):
        for way, statement in AGGREGATES.items():
            seconds[way].append(_timed(server, statement))
        timing = run_worker(server, "verification", "command", "verify_ledger")
        seconds["verify_ledger"].append(round(timing.seconds, 3))
    (events,) = server.row("verification", "SELECT count(*) FROM rewards_activityevent")
    return {
        "rows": length,
        "events": events,
        "ways": {
            way: {"seconds": taken, "median": median(taken)} for way, taken in seconds.items()
        },
    }


def _timed(server: Server, statement: str) -> float:
    with server.connect("verification") as connection:
        began = time.perf_counter()
        connection.execute(statement.encode())
        return round(time.perf_counter() - began, 3)
