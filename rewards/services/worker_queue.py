"""Messages to the Celery workers, by the names of their tasks.

Messages only wake workers: what is due, and which batches are pending, is in the database.
"""

import logging

from celery import current_app
from kombu.exceptions import OperationalError

from rewards.choices import BatchStatus
from rewards.exceptions import QueueUnreachable
from rewards.models import AwardRun

logger = logging.getLogger(__name__)

MAX_MESSAGES = 32
"""Messages sent for one run: one for each worker is enough."""


def notify_workers(run: AwardRun) -> None:
    """Ask workers to join `run`, one for each pending batch. Raises QueueUnreachable."""
    pending = run.batches.filter(status=BatchStatus.PENDING).count()
    for _ in range(min(pending, MAX_MESSAGES)):
        enqueue("award_batches", run.pk)


def enqueue(task: str, *arguments: int | str) -> None:
    """Send one message. Raises QueueUnreachable."""
    try:
        current_app.send_task(
            task,
            args=arguments,
            ignore_result=True,
            retry_policy={"max_retries": 2, "interval_start": 0.1, "interval_max": 0.5},
        )
    except OperationalError as error:
        raise QueueUnreachable(
            f"The broker cannot be reached, so no worker was notified ({error}); what is due stays "
            "due and is awarded by the next tick or by award_due."
        ) from error
