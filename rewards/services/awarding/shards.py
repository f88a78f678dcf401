"""Working off the shards of a run, each in a transaction of its own."""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models import Sum

from rewards.choices import ShardStatus
from rewards.models import AwardRun, AwardShard
from rewards.selectors.activity import Span
from rewards.services import runs
from rewards.services.awarding.batch import Job, award_span
from rewards.services.connections import is_lost
from rewards.services.contention import first_line, is_contention, retried

logger = logging.getLogger(__name__)

ASSISTED_FROM = 50_000
"""So many hosts left to judge are worth a second thread."""


def award_pending_shards(
    job: Job, run: AwardRun, *, is_over: Callable[[], bool], on_shard: Callable[[], None]
) -> bool:
    """Judge pending shards of `run` until `is_over`; return whether there is none left to take."""
    with _assisted(job, run, is_over):
        while not is_over():
            if not _award_next_shard(job, run):
                return True
            on_shard()
    return False


@contextmanager
def _assisted(job: Job, run: AwardRun, is_over: Callable[[], bool]) -> Iterator[None]:
    """Judge shards of a large run in a second thread too, which ends with the block.

    It has a connection of its own: while PostgreSQL checks and commits the batch of one, the
    other reads and judges its next, so that neither the process nor the server is idle.
    """
    pending = run.shards.filter(status=ShardStatus.PENDING)
    if (pending.aggregate(hosts=Sum("hosts"))["hosts"] or 0) < ASSISTED_FROM:
        yield
        return

    stop = threading.Event()

    def assist() -> None:
        try:
            while not (stop.is_set() or is_over()) and _award_next_shard(job, run):
                pass
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=1) as pool:
        assistant = pool.submit(assist)
        try:
            yield
        except BaseException:
            stop.set()
            raise
    assistant.result()


def _award_next_shard(job: Job, run: AwardRun) -> bool:
    """Judge and write one pending shard of `run`; return whether there was one.

    A batch that meets awards or locks of another process is done again with fresh maps, and
    deferred to the next run when it keeps meeting them. One that fails for a reason of its own
    is rolled back and reported. Either way the rest goes on.
    """
    shard: AwardShard | None = None

    def attempt() -> bool:
        nonlocal shard
        with transaction.atomic():
            shard = None
            shard = runs.take_shard(run)
            if shard is None:
                return False
            span = Span(shard.after_user, shard.through_user)
            runs.finish_shard(shard, tally=award_span(job, run=run.pk, span=span))
            return True

    try:
        return retried(attempt, label="batch")
    except (DatabaseError, ArithmeticError, ValueError) as error:
        if shard is None or is_lost(error):
            raise
        # The end of the run is what ADMINS get mail of, once, not each batch.
        # What a statement was cancelled for says all there is; other causes have to be found.
        is_plain = isinstance(error, OperationalError)
        logger.warning("batch failed: %s: %s", shard, first_line(error), exc_info=not is_plain)
        runs.fail_shard(
            shard,
            error=f"{type(error).__name__}: {first_line(error)}",
            is_deferred=is_contention(error),
        )
        return True
