"""What a run costs by host, award and batch, and what follows from that for more hosts.

The costs are fitted to runs of one thread, in which the seconds that our process computes and
those that it waits for the server add up to the whole. The simulation then has to foretell runs
that it was not fitted to: of a million hosts, of two threads, of two workers.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np

from benchmarks import dataset
from benchmarks.server import Server
from benchmarks.simulation import Cost, CostModel, Machines, simulate
from benchmarks.variants import Timing, ordinary_day, run_worker

BATCH = 20_000

FEW = 50_000
"""Below so many hosts a run is given no second thread: ASSISTED_FROM, which Django guards."""

DAILY = [rule_type for rule_type, _, _ in dataset.RULES if rule_type.startswith("DAILY_")]

NO_RUN = "999999999"

OUT_OF_REACH = 100
"""A threshold that is allowed for every rule type, and that hardly anybody in our world reaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One run to fit the costs to."""

    hosts: int
    batch: int = BATCH
    paying: int = len(DAILY)
    """How many of the daily rules are within reach. Every host earns by the first."""


def measure(server: Server, *, hosts: int, rounds: int) -> dict[str, Any]:
    """Return the costs, the bytes, and for each point what was foretold and what was measured."""
    tenth, hundredth = max(2, hosts // 10), max(1, hosts // 100)
    sizes = sorted({hundredth, tenth, hosts})
    for size in sizes:
        ordinary_day(server, _name(size), hosts=size)

    trials = [
        Trial(hosts=hundredth, batch=max(1, hundredth // 5)),
        Trial(hosts=tenth, batch=max(1, tenth // 5)),
        *(Trial(hosts=tenth, paying=paying) for paying in range(1, len(DAILY))),
        *(Trial(hosts=tenth, batch=max(1, tenth // batches)) for batches in (50, 200)),
    ]
    runs = [_run(server, trial, rounds=rounds) for trial in trials]
    model = fit(runs, alone=_alone(*runs[:2]), start=_start(server, hosts=hundredth))

    points = [(hundredth, 1), (tenth, 1), (tenth, 2), (hosts, 1), (hosts, 2)]
    return {
        "trials": runs,
        "model": asdict(model),
        "bytes": _bytes(server, hosts=tenth),
        "points": [
            _point(server, model, rounds=rounds, hosts=size, workers=workers)
            for size, workers in points
        ],
    }


def fit(runs: Sequence[dict[str, Any]], *, alone: float, start: float) -> CostModel:
    """Return the costs that explain `runs` best, each weighed by its length; none is negative."""
    shape = np.array([[1, run["batches"], run["hosts"], run["awards"]] for run in runs])
    weights = np.array([1 / run["seconds"] for run in runs])

    def fitted(seconds: Sequence[float]) -> list[float]:
        costs = np.zeros(shape.shape[1])
        kept = list(range(shape.shape[1]))
        while True:
            found, *_ = np.linalg.lstsq(
                shape[:, kept] * weights[:, None], np.array(seconds) * weights
            )
            if found.min() >= 0:
                costs[kept] = found
                return [float(cost) for cost in costs]
            kept.pop(int(found.argmin()))

    run_ours, *ours = fitted([run["cpu"] for run in runs])
    run_server, *server = fitted([run["seconds"] - run["cpu"] for run in runs])
    return CostModel(
        run=run_ours + run_server,
        alone=alone,
        start=start,
        ours=Cost(batch=ours[0], host=ours[1], award=ours[2]),
        server=Cost(batch=server[0], host=max(0.0, server[1] - alone), award=server[2]),
    )


def model_of(results: dict[str, Any]) -> CostModel:
    """Return the model that `measure` found."""
    found = results["scaling"]["model"]
    return CostModel(**(found | {"ours": Cost(**found["ours"]), "server": Cost(**found["server"])}))


CREWS = [
    ("these 2 processors", Machines()),
    (
        "4 workers, PostgreSQL on 8 processors",
        Machines(workers=4, processors=8, for_workers=4),
    ),
    (
        "16 workers, PostgreSQL on 32 processors",
        Machines(workers=16, processors=32, for_workers=16),
    ),
]
"""Who might award the days of `forecast`."""


def forecast(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the model says of days of one, ten and a hundred million active hosts."""
    model, part = model_of(results), results["scaling"]
    awards = awards_per_host(results)
    return [
        {
            "hosts": hosts,
            "awards": round(hosts * awards),
            "log": hosts * awards * part["bytes"]["log_per_award"],
            "ledger": hosts * awards * part["bytes"]["ledger_per_award"],
            "seconds": [
                simulate(model, hosts=hosts, awards=awards, batch=BATCH, machines=machines)
                for _, machines in CREWS
            ],
        }
        for hosts in (1_000_000, 10_000_000, 100_000_000)
    ]


def awards_per_host(results: dict[str, Any]) -> float:
    """Return the awards of each active host on a day of the largest world."""
    largest = results["scaling"]["points"][-1]
    return float(largest["awards"] / largest["hosts"])


def on_these(*, hosts: int, workers: int) -> Machines:
    """Return who awards `hosts` hosts on the machine at hand."""
    return Machines(workers=workers, threads=2 if hosts >= FEW else 1)


def _name(hosts: int) -> str:
    return f"scaling_{hosts}"


def _run(server: Server, trial: Trial, *, rounds: int) -> dict[str, Any]:
    """Run `trial` as often as asked; return its numbers and the medians of its seconds."""
    found: dict[str, list[float]] = {"seconds": [], "cpu": [], "opening": [], "closing": []}
    for _ in range(rounds):
        with server.copy_of(_name(trial.hosts)) as name:
            _let_pay(server, name, trial.paying)
            timing = _award(server, name, one_thread=True, batch=trial.batch)
            found["seconds"].append(timing.seconds)
            found["cpu"].append(timing.cpu or 0.0)
            for end, seconds in _ends(server, name).items():
                found[end].append(seconds)
            (run,) = timing.report["runs"]
    return {
        "hosts": trial.hosts,
        "batch": trial.batch,
        "batches": -(-trial.hosts // trial.batch),
        "awards": run["awards"],
        **{what: round(median(values), 4) for what, values in found.items()},
    }


def _award(
    server: Server, name: str, *, one_thread: bool = False, workers: int = 1, batch: int = BATCH
) -> Timing:
    what = "command_in_one_thread" if one_thread else "command"
    return run_worker(
        server,
        name,
        what,
        "award_daily",
        f"--date={dataset.DAY}",
        f"--workers={workers}",
        environment={"REWARDS_BATCH_SIZE": str(batch)},
    )


def _let_pay(server: Server, name: str, paying: int) -> None:
    """Put all daily rules but the first `paying` out of reach."""
    with server.connect(name) as connection:
        for rule_type in DAILY[paying:]:
            connection.execute(
                """
                INSERT INTO rewards_rewardrule
                    (rule_type, threshold, points, is_active, starts_on, created_at)
                VALUES (%s, %s, 10, true, %s, now())
                """,
                [rule_type, OUT_OF_REACH, dataset.DAY],
            )


def _ends(server: Server, name: str) -> dict[str, float]:
    """Return the seconds that the run took before its first batch and after its last."""
    opening, closing = server.row(
        name,
        """
        SELECT
            extract(epoch FROM first - started_at - (last - first) / greatest(batches - 1, 1)),
            extract(epoch FROM run.finished_at - last)
        FROM rewards_awardrun AS run CROSS JOIN LATERAL (
            SELECT min(finished_at) AS first, max(finished_at) AS last, count(*) AS batches
            FROM rewards_awardshard WHERE run_id = run.id
        ) AS shards
        WHERE reference_date = %s
        """,
        [dataset.DAY],
    )
    return {"opening": max(0.0, float(opening)), "closing": max(0.0, float(closing))}


def _start(server: Server, *, hosts: int) -> float:
    """Return the seconds until another worker has started: Python, Django and its connection."""
    with server.copy_of(_name(hosts)) as name:
        began = time.perf_counter()
        run_worker(server, name, "command", "award_shards", NO_RUN)
        return round(time.perf_counter() - began, 3)


def _alone(few: dict[str, Any], many: dict[str, Any]) -> float:
    """Return the seconds for each further host before the first batch and after the last."""
    ends = [run["opening"] + run["closing"] for run in (few, many)]
    return max(0.0, float((ends[1] - ends[0]) / (many["hosts"] - few["hosts"])))


def _bytes(server: Server, *, hosts: int) -> dict[str, int]:
    """Return what an award writes to the log and leaves in the ledger, and what hosts take.

    Indexes are in all of them.
    """
    question = """
        SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint,
            pg_total_relation_size('rewards_scorehistory'),
            (SELECT count(*) FROM rewards_scorehistory)
    """
    with server.copy_of(_name(hosts)) as name:
        before = server.row(name, question)
        _award(server, name)
        log, ledger, awards = (
            after - was for was, after in zip(before, server.row(name, question), strict=True)
        )
        score, user, activity = server.row(
            name,
            """
            SELECT pg_total_relation_size('rewards_score') / %(hosts)s,
                pg_total_relation_size('rewards_user') / %(hosts)s,
                pg_total_relation_size('rewards_dailyactivity')
                    / (SELECT count(*) FROM rewards_dailyactivity)
            """,
            {"hosts": hosts},
        )
    return {
        "log_per_award": round(log / awards),
        "ledger_per_award": round(ledger / awards),
        "score_per_host": score,
        "user_per_host": user,
        "activity_per_active_host_and_day": activity,
    }


def _point(
    server: Server, model: CostModel, *, rounds: int, hosts: int, workers: int
) -> dict[str, Any]:
    machines = on_these(hosts=hosts, workers=workers)
    timings = []
    for _ in range(rounds):
        with server.copy_of(_name(hosts)) as name:
            timings.append(_award(server, name, workers=workers))
    awards = timings[0].report["runs"][0]["awards"]
    foretold = simulate(
        model,
        hosts=hosts,
        awards=awards / hosts,
        batch=BATCH,
        machines=machines,
    )
    return {
        "hosts": hosts,
        "workers": workers,
        "threads": machines.threads,
        "awards": awards,
        "seconds": [round(timing.seconds, 3) for timing in timings],
        "median": round(median(timing.seconds for timing in timings), 3),
        "foretold": round(foretold, 3),
        "memory": max(timing.memory or 0 for timing in timings),
    }
