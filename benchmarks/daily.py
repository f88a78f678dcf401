"""One day awarded by every variant, in turn."""

from collections.abc import Callable
from dataclasses import asdict
from statistics import median
from typing import Any

from benchmarks import dataset
from benchmarks.server import Server
from benchmarks.variants import (
    Outcome,
    Timing,
    build_active_days,
    copy_finished_rows,
    handwritten_sql,
    ours,
    outcome,
    run_worker,
    write_finished_rows,
)

SAMPLE = 500
"""Hosts for the variants that write award by award. Their time per award is constant."""

# The first run of a day becomes its live run.
_AS_LIVE = """
    UPDATE rewards_awardrun SET kind = 'live', attempt = 0
    WHERE reference_date = %s AND attempt = 1 AND cadence = 'daily'
"""

Award = Callable[[Server, str], Timing]


def measure(server: Server, *, hosts: int, rounds: int) -> dict[str, Any]:
    """Award the same day with every variant, `rounds` times, each time on a fresh copy."""
    build_active_days(server, "daily", hosts=hosts)
    rows = server.local.cluster.home / "finished_rows"
    with server.copy_of("daily") as name:
        handwritten_sql(server, name)
        write_finished_rows(server, name, rows)
        expected = outcome(server, name)
        sample = min(SAMPLE, hosts)
        expected_of_sample = outcome(server, name, hosts=sample)

    variants: dict[str, Award] = {
        "ours": ours,
        "ours, 2 workers": lambda server, name: ours(server, name, workers=2),
        "ours, one thread": lambda server, name: ours(server, name, job="command_in_one_thread"),
        "hand-written SQL": handwritten_sql,
        "COPY of finished rows": lambda server, name: copy_finished_rows(server, name, rows=rows),
    }
    samples: dict[str, Award] = {
        job: lambda server, name, job=job: run_worker(  # type: ignore[misc]  # bind the loop variable
            server, name, job, str(dataset.DAY), str(sample)
        )
        for job in ("maps_and_two_writes", "query_per_host_and_rule")
    }
    timings: dict[str, list[Timing]] = {}
    outcomes: dict[str, Outcome] = {}

    def record(variant: str, timing: Timing, found: Outcome) -> None:
        timings.setdefault(variant, []).append(timing)
        # Keep the first wrong outcome of several rounds.
        if variant not in outcomes or outcomes[variant] == expected:
            outcomes[variant] = found

    for number in range(rounds):
        # Start each round with another variant.
        turns = list(variants.items())
        for variant, award in turns[number % len(turns) :] + turns[: number % len(turns)]:
            with server.copy_of("daily") as name:
                record(variant, award(server, name), outcome(server, name))
                if variant == "ours":
                    record("ours, second run", ours(server, name), outcome(server, name))
                    with server.connect(name) as connection:
                        connection.execute(_AS_LIVE, [dataset.DAY])
                    record("ours, all paid live", ours(server, name), outcome(server, name))
        for variant, award in samples.items():
            with server.copy_of("daily") as name:
                record(variant, award(server, name), outcome(server, name, hosts=sample))

    return {
        "awards": expected.awards,
        "variants": {
            variant: _row(
                taken, outcomes[variant], expected_of_sample if variant in samples else expected
            )
            for variant, taken in timings.items()
        },
    }


def _row(timings: list[Timing], found: Outcome, expected: Outcome) -> dict[str, Any]:
    seconds = median(timing.seconds for timing in timings)
    memory = [timing.memory for timing in timings if timing.memory]
    return {
        "seconds": [round(timing.seconds, 3) for timing in timings],
        "median": round(seconds, 3),
        "awards": found.awards,
        "microseconds_per_award": round(seconds / found.awards * 1e6, 2),
        "memory": max(memory, default=None),
        "is_correct": found == expected and not found.wrong_scores,
        "outcome": asdict(found),
    }
