"""The Celery tasks. Each has the name of the command that does the same."""

import logging
import time

from celery import shared_task
from django.utils import timezone

from rewards.choices import RunTrigger
from rewards.exceptions import AlreadyRunning, QueueUnreachable
from rewards.models import AwardRun
from rewards.services import worker_queue
from rewards.services.awarding.options import RunOptions
from rewards.services.awarding.run import join_run
from rewards.services.due import award_due as award_all_due

logger = logging.getLogger(__name__)

WORK_SECONDS = 60
"""A task stops after this many seconds and enqueues itself again, far below
CELERY_TASK_SOFT_TIME_LIMIT."""


@shared_task(name="award_due")
def award_due() -> None:
    """Award what is due, together with other workers. Scheduled by beat."""
    options = RunOptions(
        notify_workers=_try_to_notify_workers, deadline=time.monotonic() + WORK_SECONDS
    )
    report = award_all_due(now=timezone.now(), trigger=RunTrigger.BEAT, options=options)
    if not report.is_complete:
        _try_to_enqueue("award_due")


@shared_task(name="award_batches")
def award_batches(run: int) -> None:
    """Award batches of the run with this primary key until none is left to claim."""
    options = RunOptions(deadline=time.monotonic() + WORK_SECONDS)
    try:
        has_ended = join_run(run_id=run, options=options)
    except AlreadyRunning as error:
        logger.info("not joined: %s", error)
        return
    if not has_ended and time.monotonic() >= options.deadline:
        _try_to_enqueue("award_batches", run)


def _try_to_notify_workers(run: AwardRun) -> None:
    """Notify workers; a broker outage is only logged."""
    try:
        worker_queue.notify_workers(run)
    except QueueUnreachable as error:
        logger.warning("%s", error)


def _try_to_enqueue(task: str, *arguments: int) -> None:
    """Enqueue the task again; if the message is lost, the next tick continues."""
    try:
        worker_queue.enqueue(task, *arguments)
    except QueueUnreachable as error:
        logger.warning("%s", error)
