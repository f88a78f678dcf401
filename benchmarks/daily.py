"""A day awarded in every way, interleaved: the figures that all others are compared with."""

from collections.abc import Callable
from dataclasses import asdict
from statistics import median
from typing import Any

from benchmarks import dataset
from benchmarks.server import Server
from benchmarks.variants import (
    Outcome,
    Timing,
    finished_rows,
    floor,
    handwritten,
    ordinary_day,
    ours,
    outcome,
    run_worker,
)

SAMPLE = 500
"""Hosts for the contestants that write award by award: their rate does not depend on it."""

Award = Callable[[Server, str], Timing]


def measure(server: Server, *, hosts: int, rounds: int) -> dict[str, Any]:
    """Award the same day in every way, `rounds` times, each time on a fresh copy."""
    ordinary_day(server, "daily", hosts=hosts)
    rows = server.local.cluster.home / "finished_rows"
    with server.copy_of("daily") as name:
        handwritten(server, name)
        finished_rows(server, name, rows)
        truth = outcome(server, name)
        sample = min(SAMPLE, hosts)
        sample_truth = outcome(server, name, hosts=sample)

    ways: dict[str, Award] = {
        "ours": ours,
        "ours, 2 workers": lambda server, name: ours(server, name, workers=2),
        "ours, one thread": lambda server, name: ours(server, name, what="command_in_one_thread"),
        "hand-written SQL": handwritten,
        "floor": lambda server, name: floor(server, name, rows=rows),
    }
    samples: dict[str, Award] = {
        what: lambda server, name, what=what: run_worker(  # type: ignore[misc]  # bound for each
            server, name, what, str(dataset.DAY), str(sample)
        )
        for what in ("maps_and_two_writes", "query_per_host_and_rule")
    }
    timings: dict[str, list[Timing]] = {}
    outcomes: dict[str, Outcome] = {}

    def note(way: str, timing: Timing, found: Outcome) -> None:
        timings.setdefault(way, []).append(timing)
        # Of several rounds the first wrong one is kept.
        if way not in outcomes or outcomes[way] == truth:
            outcomes[way] = found

    for number in range(rounds):
        turns = list(ways.items())
        for way, award in turns[number % len(turns) :] + turns[: number % len(turns)]:
            with server.copy_of("daily") as name:
                note(way, award(server, name), outcome(server, name))
                if way == "ours":
                    note("ours, second run", ours(server, name), outcome(server, name))
        for way, award in samples.items():
            with server.copy_of("daily") as name:
                note(way, award(server, name), outcome(server, name, hosts=sample))

    return {
        "awards": truth.awards,
        "ways": {
            way: _row(found, outcomes[way], sample_truth if way in samples else truth)
            for way, found in timings.items()
        },
    }


def _row(timings: list[Timing], found: Outcome, truth: Outcome) -> dict[str, Any]:
    seconds = median(timing.seconds for timing in timings)
    memory = [timing.memory for timing in timings if timing.memory]
    return {
        "seconds": [round(timing.seconds, 3) for timing in timings],
        "median": round(seconds, 3),
        "awards": found.awards,
        "microseconds_per_award": round(seconds / found.awards * 1e6, 2),
        "memory": max(memory, default=None),
        "is_correct": found == truth and not found.wrong_scores,
        "outcome": asdict(found),
    }
