"""award_weekly compared with award_daily: seven times the facts, fewer awards."""

from datetime import timedelta
from statistics import median
from typing import Any

from benchmarks import dataset
from benchmarks.server import Server
from benchmarks.variants import ours, run_worker

SHARE = 0.75
"""Share of the hosts active on each of the other six days."""


def measure(server: Server, *, hosts: int, rounds: int) -> dict[str, Any]:
    """Award a day and a week of the same database in turn; return seconds and awards of both."""
    days = {dataset.MONDAY + timedelta(days=number): SHARE for number in range(7)}
    dataset.build(server, "weekly", hosts=hosts, days=days | {dataset.DAY: 1.0})
    seconds: dict[str, list[float]] = {"award_daily": [], "award_weekly": []}
    awards = {}
    for _ in range(rounds):
        with server.copy_of("weekly") as name:
            daily = ours(server, name)
        with server.copy_of("weekly") as name:
            weekly = run_worker(
                server, name, "command", "award_weekly", "--week", str(dataset.MONDAY)
            )
        for variant, timing in (("award_daily", daily), ("award_weekly", weekly)):
            seconds[variant].append(round(timing.seconds, 3))
            awards[variant] = timing.report["runs"][0]["awards"]
    return {
        variant: {"seconds": taken, "median": median(taken), "awards": awards[variant]}
        for variant, taken in seconds.items()
    }
