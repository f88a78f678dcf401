"""The batches of a run: each is claimed, evaluated and written in one transaction."""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Event

from django.db import DatabaseError, OperationalError, connection, transaction

from rewards.models import AwardBatch, AwardRun
from rewards.selectors.activity import IdRange
from rewards.services.awarding import journal
from rewards.services.awarding.ledger import Job, award_id_range
from rewards.services.awarding.options import RunOptions
from rewards.services.db_errors import (
    MAX_TRIES,
    first_line,
    is_conflict,
    is_connection_lost,
    wait_after_conflict,
)

logger = logging.getLogger(__name__)

SECOND_THREAD_FROM = 50_000
"""Pending hosts from which a second thread saves more than it costs."""


def award_pending_batches(job: Job, run: AwardRun, options: RunOptions) -> bool:
    """Award pending batches of `run` until the deadline; return whether none is left to claim."""
    if options.second_thread and journal.pending_hosts(run) >= SECOND_THREAD_FROM:
        with _second_thread(job, run, options):
            return _award_batches(job, run, options)
    return _award_batches(job, run, options)


def _award_batches(job: Job, run: AwardRun, options: RunOptions, stop: Event | None = None) -> bool:
    """Claim, evaluate and write one batch after the other.

    A batch that meets a conflict with another process is rolled back and claimed again, with fresh
    maps, and deferred to the next run after MAX_TRIES. Any other error rolls it back and marks it
    failed. The run continues either way.
    """
    conflicts: Counter[int | None] = Counter()
    while time.monotonic() < options.deadline and not (stop and stop.is_set()):
        batch: AwardBatch | None = None
        try:
            with transaction.atomic():
                batch = journal.claim_batch(run)
                if batch is None:
                    return True
                id_range = IdRange(batch.after_user, batch.through_user)
                counts = award_id_range(job, run_id=run.pk, id_range=id_range)
                journal.finish_batch(batch, counts=counts)
        except (DatabaseError, ArithmeticError, ValueError) as error:
            key = batch.pk if batch else None
            conflicts[key] += is_conflict(error)
            if is_conflict(error) and conflicts[key] < MAX_TRIES:
                wait_after_conflict(error, work="batch", tries=conflicts[key])
            elif batch is None or is_connection_lost(error):
                raise
            else:
                _fail(batch, error)
        if options.on_progress is not None:
            options.on_progress(*journal.progress(run))
    return False


def _fail(batch: AwardBatch, error: Exception) -> None:
    # A warning: ADMINS get one mail when the run ends, not one for each batch. A canceled
    # statement needs no traceback; any other cause has to be found.
    is_canceled = isinstance(error, OperationalError)
    logger.warning("batch failed: %s: %s", batch, first_line(error), exc_info=not is_canceled)
    journal.fail_batch(
        batch,
        error=f"{type(error).__name__}: {first_line(error)}",
        is_deferred=is_conflict(error),
    )


@contextmanager
def _second_thread(job: Job, run: AwardRun, options: RunOptions) -> Iterator[None]:
    """Award batches in a second thread too, which ends with the block.

    It has its own connection: while PostgreSQL commits one batch, the other is evaluated.
    """
    stop = Event()

    def work() -> None:
        try:
            _award_batches(job, run, replace(options, on_progress=None), stop)
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=1) as pool:
        second = pool.submit(work)
        try:
            yield
        except BaseException:
            stop.set()
            raise
    second.result()
