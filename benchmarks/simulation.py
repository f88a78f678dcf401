"""A queueing simulation: predicts the duration of a run from the cost of its batches."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds per batch, host and award, either in our process or on the server."""

    batch: float
    host: float
    award: float

    def of_batch(self, hosts: int, awards: float) -> float:
        return self.batch + self.host * hosts + self.award * awards


@dataclass(frozen=True, slots=True, kw_only=True)
class CostModel:
    """The cost of a run."""

    run: float
    """Seconds, independent of the number of hosts."""
    serial: float
    """Seconds per host that cannot be shared: opening the run and closing it."""
    start: float
    """Seconds until an additional worker has started."""
    ours: Cost
    server: Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """The workers of a run and their processors."""

    workers: int = 1
    threads: int = 2
    """Threads per worker; small runs use one."""
    processors: int = 2
    """Shared by the workers and the server; the server's own if `for_workers` is set."""
    for_workers: int | None = None


def simulate(
    model: CostModel, *, hosts: int, awards: float, batch: int, machines: Machines
) -> float:
    """Return the seconds of a run over `hosts` hosts with `awards` awards per host.

    A thread repeats two steps until no batch is left. It evaluates a batch, which needs the
    interpreter of its process and a processor. Then it waits for the server, which needs a
    processor. Requests are served first come, first served.
    """
    batches = [batch] * (hosts // batch) + [hosts % batch] * (hosts % batch > 0)
    servers = [0.0] * machines.processors
    clients = servers if machines.for_workers is None else [0.0] * machines.for_workers
    interpreters = [[0.0] for _ in range(machines.workers)]

    # Requests: (time, sequence number, worker, hosts of the batch to write or 0 to take a batch).
    numbers = count()
    requests = [
        (model.start if worker else 0.0, next(numbers), worker, 0)
        for _ in range(machines.threads)
        for worker in range(machines.workers)
    ]
    heapq.heapify(requests)
    end = 0.0
    while requests:
        since, _, worker, evaluated = heapq.heappop(requests)
        if evaluated:
            done = _serve([servers], since, model.server.of_batch(evaluated, evaluated * awards))
            end = max(end, done)
            heapq.heappush(requests, (done, next(numbers), worker, 0))
        elif batches:
            size = batches.pop()
            seconds = model.ours.of_batch(size, size * awards)
            done = _serve([interpreters[worker], clients], since, seconds)
            heapq.heappush(requests, (done, next(numbers), worker, size))
    return model.run + model.serial * hosts + end


def _serve(pools: Sequence[list[float]], since: float, seconds: float) -> float:
    """Occupy one member of each pool, once all are free, for `seconds`; return the end time."""
    done = max(since, *(heapq.heappop(pool) for pool in pools)) + seconds
    for pool in pools:
        heapq.heappush(pool, done)
    return done
