"""The batches of a run: each is claimed, evaluated and written in one transaction."""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models import Sum

from rewards.choices import BatchStatus
from rewards.models import AwardBatch, AwardRun
from rewards.selectors.activity import IdRange
from rewards.services.awarding import journal
from rewards.services.awarding.ledger import Job, award_id_range
from rewards.services.awarding.options import RunOptions
from rewards.services.db_errors import (
    first_line,
    is_conflict,
    is_connection_lost,
    retry_on_conflict,
)

logger = logging.getLogger(__name__)

SECOND_THREAD_FROM = 50_000
"""Pending hosts from which a second thread saves more than it costs."""


def award_pending_batches(job: Job, run: AwardRun, options: RunOptions) -> bool:
    """Award pending batches of `run` until the deadline; return whether none is left to claim."""
    with _second_thread(job, run, options):
        while not options.is_expired:
            if not _award_next_batch(job, run):
                return True
            if options.on_progress is not None:
                options.on_progress(*journal.progress(run))
    return False


@contextmanager
def _second_thread(job: Job, run: AwardRun, options: RunOptions) -> Iterator[None]:
    """Award batches of a large run in a second thread too, if `options` allow one.

    It has its own connection: while PostgreSQL commits one batch, the other is evaluated.
    """
    pending = run.batches.filter(status=BatchStatus.PENDING)
    if not options.second_thread or (
        (pending.aggregate(hosts=Sum("hosts"))["hosts"] or 0) < SECOND_THREAD_FROM
    ):
        yield
        return

    stop = threading.Event()

    def work() -> None:
        try:
            while not (stop.is_set() or options.is_expired) and _award_next_batch(job, run):
                pass
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


def _award_next_batch(job: Job, run: AwardRun) -> bool:
    """Claim, evaluate and write one pending batch of `run`; return whether there was one.

    On a conflict with another process the batch is retried with fresh maps, then deferred to the
    next run. Any other error rolls it back and marks it failed. The run continues either way.
    """
    batch: AwardBatch | None = None

    def attempt() -> bool:
        nonlocal batch
        with transaction.atomic():
            batch = None
            batch = journal.claim_batch(run)
            if batch is None:
                return False
            id_range = IdRange(batch.after_user, batch.through_user)
            counts = award_id_range(job, run_id=run.pk, id_range=id_range)
            journal.finish_batch(batch, counts=counts)
            return True

    try:
        return retry_on_conflict(attempt, label="batch")
    except (DatabaseError, ArithmeticError, ValueError) as error:
        if batch is None or is_connection_lost(error):
            raise
        # A warning: ADMINS get one mail when the run ends, not one for each batch. A canceled
        # statement needs no traceback; any other cause has to be found.
        is_canceled = isinstance(error, OperationalError)
        logger.warning("batch failed: %s: %s", batch, first_line(error), exc_info=not is_canceled)
        journal.fail_batch(
            batch,
            error=f"{type(error).__name__}: {first_line(error)}",
            is_deferred=is_conflict(error),
        )
        return True
