"""verify_ledger against one sequential aggregate of the ledger."""

import time
from statistics import median
from typing import Any

from benchmarks.contestants import child, ordinary_day
from benchmarks.history import grow
from benchmarks.server import Server

ROWS_FOR_EACH_HOST = 10


def measure(server: Server, *, hosts: int, rounds: int) -> dict[str, Any]:
    """Do both on the same ledger, in turn."""
    ordinary_day(server, "verification", hosts=hosts)
    with server.connect("verification") as connection:
        # Counts without their events would be found out, rightly.
        connection.execute("TRUNCATE rewards_dailyactivity")
    length = grow(server, "verification", rows=hosts * ROWS_FOR_EACH_HOST)
    server.warm("verification")
    seconds: dict[str, list[float]] = {"verify_ledger": [], "one aggregate": []}
    for _ in range(rounds):
        seconds["one aggregate"].append(_aggregate(server))
        timing = child(server, "verification", "command", "verify_ledger")
        seconds["verify_ledger"].append(round(timing.seconds, 3))
    return {
        "rows": length,
        "ways": {
            way: {"seconds": taken, "median": median(taken)} for way, taken in seconds.items()
        },
    }


def _aggregate(server: Server) -> float:
    with server.connect("verification") as connection:
        began = time.perf_counter()
        connection.execute("SELECT user_id, sum(points) FROM rewards_scorehistory GROUP BY user_id")
        return round(time.perf_counter() - began, 3)
