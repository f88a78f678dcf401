"""verify_ledger compared with a sequential aggregate of the ledger."""

import time
from statistics import median
from typing import Any

from benchmarks import dataset
from benchmarks.history import add_history
from benchmarks.server import Server
from benchmarks.variants import build_active_days, run_worker

ROWS_PER_HOST = 10

# The target compares with the first one. The second one shows the cost of reading the events.
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

# What `add_history` leaves out, because awarding does not read it: activity of the past, events
# and the batches of the runs.
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
    INSERT INTO rewards_awardbatch (run_id, after_user, through_user, status, finished_at,
        awards, points)
    SELECT id, 0, 1, 'done', finished_at, awards, points FROM rewards_awardrun
    """,
]


def measure(server: Server, *, hosts: int, rounds: int) -> dict[str, Any]:
    """Time all variants on the same ledger in turn. All activity is awarded."""
    build_active_days(server, "verification", hosts=hosts, days=0)
    length = add_history(server, "verification", rows=hosts * ROWS_PER_HOST)
    with server.connect("verification") as connection:
        connection.execute("SET session_replication_role = replica")
        for statement in _REST:
            connection.execute(statement, {"day": dataset.YESTERDAY})
    dataset.vacuum(server, "verification")
    server.warm("verification")
    seconds: dict[str, list[float]] = {variant: [] for variant in ("verify_ledger", *AGGREGATES)}
    for _ in range(rounds):
        for variant, statement in AGGREGATES.items():
            seconds[variant].append(_time(server, statement))
        timing = run_worker(server, "verification", "command", "verify_ledger")
        seconds["verify_ledger"].append(round(timing.seconds, 3))
    (events,) = server.row("verification", "SELECT count(*) FROM rewards_activityevent")
    return {
        "rows": length,
        "events": events,
        "variants": {
            variant: {"seconds": taken, "median": median(taken)}
            for variant, taken in seconds.items()
        },
    }


def _time(server: Server, statement: str) -> float:
    with server.connect("verification") as connection:
        started = time.perf_counter()
        connection.execute(statement.encode())
        return round(time.perf_counter() - started, 3)
