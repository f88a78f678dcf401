"""import_activity compared with COPY to a temporary table and set-based inserts."""

import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import dataset
from benchmarks.server import Server
from benchmarks.variants import SQL, run_worker

EVENTS_PER_HOST = 2

_FILE = """
    COPY (
        SELECT 'event-' || n AS event_id, 'host-' || host AS user_id, kind,
            to_char(timestamp '2025-03-13' + n * interval '1 day' / %(events)s,
                'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS occurred_at,
            CASE WHEN kind = 'login' THEN 0 ELSE seconds END AS duration_seconds
        FROM (
            SELECT n, 1 + floor(random() * %(hosts)s)::int AS host,
                (ARRAY['login', 'audio_call', 'video_call'])[1 + floor(random() * 3)::int] AS kind,
                1 + floor(random() * 1200)::int AS seconds
            FROM generate_series(1, %(events)s) AS n
        ) AS drawn
    ) TO STDOUT (FORMAT csv, HEADER)
"""

# Hashes of all stored rows, without primary keys and timestamps of the import.
_STORED = """
    SELECT
        (SELECT md5(sum(hashtextextended(concat_ws(',', source, event_id, user_id, kind,
            occurred_at, duration_seconds, business_date), 0))::text) FROM rewards_activityevent),
        (SELECT md5(sum(hashtextextended(concat_ws(',', date, user_id, logins, audio_calls,
            video_calls, audio_seconds, video_seconds), 0))::text) FROM rewards_dailyactivity)
"""


def measure(server: Server, *, hosts: int, rounds: int) -> dict[str, Any]:
    """Import the same file with both variants in turn and compare the stored rows."""
    dataset.build(server, "ingest", hosts=hosts, days={})
    file = server.local.cluster.home / "activity.csv"
    events = hosts * EVENTS_PER_HOST
    with server.connect("ingest") as connection, file.open("wb") as out:
        connection.execute("SELECT setseed(%s)", [dataset.SEED])
        with connection.cursor().copy(_FILE, {"hosts": hosts, "events": events}) as copy:
            for block in copy:
                out.write(block)
    file.chmod(0o644)

    seconds: dict[str, list[float]] = {"import_activity": [], "hand-written SQL": []}
    stored = set()
    memory = 0
    for _ in range(rounds):
        for variant, taken in seconds.items():
            with server.copy_of("ingest") as name:
                if variant == "import_activity":
                    timing = run_worker(server, name, "command", "import_activity", str(file))
                    taken.append(round(timing.seconds, 3))
                    memory = max(memory, timing.memory or 0)
                else:
                    taken.append(_import_with_sql(server, name, file))
                with server.connect(name) as connection:
                    stored.add(connection.execute(_STORED).fetchone())
    return {
        "events": events,
        "memory": memory,
        "is_correct": len(stored) == 1,
        "variants": {
            variant: {"seconds": taken, "median": median(taken)}
            for variant, taken in seconds.items()
        },
    }


def _import_with_sql(server: Server, name: str, file: Path) -> float:
    text = (SQL / "import.sql").read_text().format(file=file)
    with server.connect(name) as connection:
        started = time.perf_counter()
        connection.execute(text.encode())  # one string of several statements is one transaction
        return round(time.perf_counter() - started, 3)
