"""The cost of a run per host, award and batch, and a forecast for more hosts.

The costs are fitted to single-threaded runs, in which CPU time of our process and time waiting
for the server add up to the whole. The simulation then predicts runs outside the fit: more
hosts, two threads, two workers.
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
from benchmarks.variants import Timing, build_active_days, run_worker

BATCH = 20_000

TWO_THREADS_FROM = 50_000
"""A copy of SECOND_THREAD_FROM, which cannot be imported without Django."""

DAILY = [rule_type for rule_type, _, _ in dataset.RULES if rule_type.startswith("DAILY_")]

NO_RUN = "999999999"

UNREACHABLE = 100
"""A threshold that every rule type allows and almost no host of the dataset reaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A run that the costs are fitted to."""

    hosts: int
    batch: int = BATCH
    paying: int = len(DAILY)
    """Number of daily rules with a reachable threshold. Every host reaches the first."""


def measure(server: Server, *, hosts: int, rounds: int) -> dict[str, Any]:
    """Return the costs, the storage sizes, and predicted and measured seconds of some runs."""
    tenth, hundredth = max(2, hosts // 10), max(1, hosts // 100)
    sizes = sorted({hundredth, tenth, hosts})
    for size in sizes:
        build_active_days(server, _name(size), hosts=size)

    trials = [
        Trial(hosts=hundredth, batch=max(1, hundredth // 5)),
        Trial(hosts=tenth, batch=max(1, tenth // 5)),
        *(Trial(hosts=tenth, paying=paying) for paying in range(1, len(DAILY))),
        *(Trial(hosts=tenth, batch=max(1, tenth // batches)) for batches in (50, 200)),
    ]
    # Of few hosts some trials are the same.
    runs = [_run(server, trial, rounds=rounds) for trial in dict.fromkeys(trials)]
    model = fit(runs, serial=_serial_cost(*runs[:2]), start=_start(server, hosts=hundredth))

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


def fit(runs: Sequence[dict[str, Any]], *, serial: float, start: float) -> CostModel:
    """Return the non-negative least-squares fit to `runs`, weighted by relative error."""
    shape = np.array([[1, run["batches"], run["hosts"], run["awards"]] for run in runs])
    weights = np.array([1 / run["seconds"] for run in runs])

    def fitted(seconds: Sequence[float]) -> list[float]:
        costs = np.zeros(shape.shape[1])
        kept = list(range(shape.shape[1]))
        while True:
            solution, *_ = np.linalg.lstsq(
                shape[:, kept] * weights[:, None], np.array(seconds) * weights
            )
            if solution.min() >= 0:
                costs[kept] = solution
                return [float(cost) for cost in costs]
            kept.pop(int(solution.argmin()))

    run_ours, *ours = fitted([run["cpu"] for run in runs])
    run_server, *server = fitted([run["seconds"] - run["cpu"] for run in runs])
    return CostModel(
        run=run_ours + run_server,
        serial=serial,
        start=start,
        ours=Cost(batch=ours[0], host=ours[1], award=ours[2]),
        server=Cost(batch=server[0], host=max(0.0, server[1] - serial), award=server[2]),
    )


def model_of(results: dict[str, Any]) -> CostModel:
    """Return the cost model stored in `results`."""
    model = results["scaling"]["model"]
    return CostModel(**(model | {side: Cost(**model[side]) for side in ("ours", "server")}))


SETUPS = [
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
"""The machines of `forecast`: title -> workers and processors."""


def forecast(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Return predicted seconds and sizes for 1, 10 and 100 million active hosts."""
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
                for _, machines in SETUPS
            ],
        }
        for hosts in (1_000_000, 10_000_000, 100_000_000)
    ]


def awards_per_host(results: dict[str, Any]) -> float:
    """Return the awards per active host of the largest measured run."""
    largest = results["scaling"]["points"][-1]
    return float(largest["awards"] / largest["hosts"])


def this_machine(*, hosts: int, workers: int) -> Machines:
    """Return the workers and threads of a run over `hosts` hosts on the measuring machine."""
    return Machines(workers=workers, threads=2 if hosts >= TWO_THREADS_FROM else 1)


def _name(hosts: int) -> str:
    return f"scaling_{hosts}"


def _run(server: Server, trial: Trial, *, rounds: int) -> dict[str, Any]:
    """Run `trial` `rounds` times; return its sizes and the medians of its seconds."""
    samples: dict[str, list[float]] = {"seconds": [], "cpu": [], "opening": [], "closing": []}
    for _ in range(rounds):
        with server.copy_of(_name(trial.hosts)) as name:
            _limit_paying_rules(server, name, trial.paying)
            timing = _award(server, name, one_thread=True, batch=trial.batch)
            samples["seconds"].append(timing.seconds)
            samples["cpu"].append(timing.cpu or 0.0)
            for phase, seconds in _opening_and_closing(server, name).items():
                samples[phase].append(seconds)
            (run,) = timing.report["runs"]
    return {
        "hosts": trial.hosts,
        "batch": trial.batch,
        "batches": -(-trial.hosts // trial.batch),
        "awards": run["awards"],
        **{name: round(median(values), 4) for name, values in samples.items()},
    }


def _award(
    server: Server, name: str, *, one_thread: bool = False, workers: int = 1, batch: int = BATCH
) -> Timing:
    job = "command_in_one_thread" if one_thread else "command"
    return run_worker(
        server,
        name,
        job,
        "award_daily",
        f"--date={dataset.DAY}",
        f"--workers={workers}",
        environment={"REWARDS_BATCH_SIZE": str(batch)},
    )


def _limit_paying_rules(server: Server, name: str, paying: int) -> None:
    """Give all daily rules except the first `paying` an unreachable threshold."""
    with server.connect(name) as connection:
        for rule_type in DAILY[paying:]:
            connection.execute(
                """
                INSERT INTO rewards_rewardrule
                    (rule_type, threshold, points, is_active, starts_on, created_at)
                VALUES (%s, %s, 10, true, %s, now())
                """,
                [rule_type, UNREACHABLE, dataset.DAY],
            )


def _opening_and_closing(server: Server, name: str) -> dict[str, float]:
    """Return the seconds of the run before its first batch and after its last."""
    opening, closing = server.row(
        name,
        """
        SELECT
            extract(epoch FROM first - started_at - (last - first) / greatest(number - 1, 1)),
            extract(epoch FROM run.finished_at - last)
        FROM rewards_awardrun AS run CROSS JOIN LATERAL (
            SELECT min(finished_at) AS first, max(finished_at) AS last, count(*) AS number
            FROM rewards_awardbatch WHERE run_id = run.id
        ) AS finished
        WHERE reference_date = %s
        """,
        [dataset.DAY],
    )
    return {"opening": max(0.0, float(opening)), "closing": max(0.0, float(closing))}


def _start(server: Server, *, hosts: int) -> float:
    """Return the seconds an additional worker needs to start Python, Django and a connection."""
    with server.copy_of(_name(hosts)) as name:
        started = time.perf_counter()
        run_worker(server, name, "command", "award_batches", NO_RUN)
        return round(time.perf_counter() - started, 3)


def _serial_cost(small: dict[str, Any], large: dict[str, Any]) -> float:
    """Return the seconds per additional host before the first batch and after the last."""
    seconds = [run["opening"] + run["closing"] for run in (small, large)]
    return max(0.0, float((seconds[1] - seconds[0]) / (large["hosts"] - small["hosts"])))


def _bytes(server: Server, *, hosts: int) -> dict[str, int]:
    """Return the bytes of WAL and ledger per award and of the other tables per host.

    Indexes are included.
    """
    query = """
        SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint,
            pg_total_relation_size('rewards_scorehistory'),
            (SELECT count(*) FROM rewards_scorehistory)
    """
    with server.copy_of(_name(hosts)) as name:
        before = server.row(name, query)
        _award(server, name)
        log, ledger, awards = (
            new - old for old, new in zip(before, server.row(name, query), strict=True)
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
    machines = this_machine(hosts=hosts, workers=workers)
    timings = []
    for _ in range(rounds):
        with server.copy_of(_name(hosts)) as name:
            timings.append(_award(server, name, workers=workers))
    awards = timings[0].report["runs"][0]["awards"]
    predicted = simulate(
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
        "predicted": round(predicted, 3),
        "memory": max(timing.memory or 0 for timing in timings),
    }
