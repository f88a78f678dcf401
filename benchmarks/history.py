"""The same day on a ledger of 40 rows per host and on one of a single day."""

from datetime import timedelta
from statistics import median
from typing import Any

from benchmarks import dataset
from benchmarks.server import Server
from benchmarks.variants import build_active_days, ours

ROWS_PER_HOST = 40

# Copies the awards of YESTERDAY to an earlier day, ordered by host as a run writes them.
_PAST = """
    WITH run AS (
        INSERT INTO rewards_awardrun
        SELECT (jsonb_populate_record(run, jsonb_build_object(
            'id', nextval(pg_get_serial_sequence('rewards_awardrun', 'id')),
            'reference_date', reference_date - %(age)s
        ))).*
        FROM rewards_awardrun AS run WHERE reference_date = %(day)s
        RETURNING id
    )
    INSERT INTO rewards_scorehistory
        (user_id, rule_type, reference_date, points, rule_id, measured, threshold, run_id)
    SELECT user_id, rule_type, reference_date - %(age)s, points,
        rule_id, measured, threshold, run.id
    FROM rewards_scorehistory, run WHERE reference_date = %(day)s
    ORDER BY user_id
"""


def measure(server: Server, *, hosts: int, rounds: int) -> dict[str, Any]:
    """Award consecutive days on both ledgers in turn."""
    rows = {}
    for name in ("empty", "full"):
        build_active_days(server, name, hosts=hosts, days=rounds)
        rows[name] = add_history(server, name, rows=hosts * ROWS_PER_HOST if name == "full" else 0)
    seconds: dict[str, list[float]] = {"empty": [], "full": []}
    for number in range(rounds):
        for name, taken in seconds.items():
            server.warm(name)
            timing = ours(server, name, day=dataset.DAY + timedelta(days=number))
            taken.append(round(timing.seconds, 3))
    return {
        name: {"rows_before": rows[name], "seconds": taken, "median": median(taken)}
        for name, taken in seconds.items()
    }


def add_history(server: Server, name: str, *, rows: int) -> int:
    """Extend the ledger to at least `rows` rows, with runs and scores; return its length.

    Foreign keys are not checked: the copied rows name users that exist.
    """
    with server.connect(name) as connection:
        per_day: int = connection.execute("SELECT count(*) FROM rewards_scorehistory").fetchone()[0]  # type: ignore[index]  # a row
        connection.execute("SET session_replication_role = replica")
        age = 0
        while per_day * (age + 1) < rows:
            age += 1
            connection.execute(_PAST, {"age": age, "day": dataset.YESTERDAY})
        days_this_week = min(age, (dataset.YESTERDAY - dataset.MONDAY).days)
        connection.execute(
            "UPDATE rewards_score SET lifetime = lifetime * %s, weekly = weekly * %s WHERE %s > 0",
            [age + 1, days_this_week + 1, age],
        )
    dataset.vacuum(server, name)
    return per_day * (age + 1)
