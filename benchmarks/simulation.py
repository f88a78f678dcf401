"""A run as its batches pass through processes and processors, from what each of them costs."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds of one side of the work, ours or the server's, by what they are spent on."""

    batch: float
    host: float
    award: float

    def of_batch(self, hosts: int, awards: float) -> float:
        return self.batch + self.host * hosts + self.award * awards


@dataclass(frozen=True, slots=True, kw_only=True)
class CostModel:
    """What a run costs."""

    run: float
    """Seconds, whatever the number of hosts."""
    alone: float
    """Seconds for each host in which nothing else can go on: splitting the run, and closing it."""
    start: float
    """Seconds until a worker beside the first has started."""
    ours: Cost
    server: Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """Who works on a run, and on how many processors."""

    workers: int = 1
    threads: int = 2
    """Of each worker; a run of few hosts is given one."""
    processors: int = 2
    """Shared by the workers and the server, or the server's own when `for_workers` is given."""
    for_workers: int | None = None


def simulate(
    model: CostModel, *, hosts: int, awards: float, batch: int, machines: Machines
) -> float:
    """Return the seconds of a run over `hosts` hosts, each of whom is paid `awards` awards.

    Each thread takes the next batch, judges it, for which it needs its process and a processor,
    and has the server read and write, for which that needs a processor, until none is left.
    Whoever asks first is served first.
    """
    batches = [batch] * (hosts // batch) + [hosts % batch] * (hosts % batch > 0)
    servers = [0.0] * machines.processors
    own = servers if machines.for_workers is None else [0.0] * machines.for_workers
    interpreters = [[0.0] for _ in range(machines.workers)]

    # What is asked for: (since when, a number that keeps the order, by which worker, what).
    numbers = count()
    asked = [
        (model.start if worker else 0.0, next(numbers), worker, 0)
        for _ in range(machines.threads)
        for worker in range(machines.workers)
    ]
    heapq.heapify(asked)
    end = 0.0
    while asked:
        since, _, worker, of_server = heapq.heappop(asked)
        if of_server:
            done = _serve([servers], since, model.server.of_batch(of_server, of_server * awards))
            end = max(end, done)
            heapq.heappush(asked, (done, next(numbers), worker, 0))
        elif batches:
            size = batches.pop()
            seconds = model.ours.of_batch(size, size * awards)
            done = _serve([interpreters[worker], own], since, seconds)
            heapq.heappush(asked, (done, next(numbers), worker, size))
    return model.run + model.alone * hosts + end


def _serve(pools: Sequence[list[float]], since: float, seconds: float) -> float:
    """Take one of each pool, all at once, as soon as they are free; return when it is done."""
    done = max(since, *(heapq.heappop(pool) for pool in pools)) + seconds
    for pool in pools:
        heapq.heappush(pool, done)
    return done
