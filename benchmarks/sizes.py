"""The same day for a hundredth, a tenth and all of the hosts: does the cost stay in proportion?"""

from statistics import median
from typing import Any

from benchmarks.contestants import ordinary_day, ours
from benchmarks.server import Server


def measure(server: Server, *, hosts: int, rounds: int) -> dict[str, Any]:
    """Return seconds, awards and peak memory of our process for each size."""
    sizes = sorted({max(1, hosts // 100), max(1, hosts // 10), hosts})
    for size in sizes:
        ordinary_day(server, f"hosts_{size}", hosts=size)
    found: dict[int, dict[str, Any]] = {size: {"seconds": [], "memory": 0} for size in sizes}
    for _ in range(rounds):
        for size, row in found.items():
            with server.copy_of(f"hosts_{size}") as name:
                timing = ours(server, name)
            row["seconds"].append(round(timing.seconds, 3))
            row["memory"] = max(row["memory"], timing.memory or 0)
            row["awards"] = timing.report["runs"][0]["awards"]
    return {str(size): row | {"median": median(row["seconds"])} for size, row in found.items()}
