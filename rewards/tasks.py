"""What the workers do: each task is named like the command that does the same by hand."""

import logging
import time

from celery import shared_task
from django.utils import timezone

from rewards.choices import RunTrigger
from rewards.exceptions import AlreadyRunning, QueueUnreachable
from rewards.models import AwardRun
from rewards.services import queue
from rewards.services.awarding import Labour
from rewards.services.awarding import award_shards as award_shards_of
from rewards.services.due import award_due as award_all_due

logger = logging.getLogger(__name__)

WORK_SECONDS = 60
"""After so long a task makes way, and asks to be continued: far below every time limit."""


@shared_task(name="award_due")
def award_due() -> None:
    """Award what is due, with the help of every worker that is free. Beat rings it."""
    labour = Labour(invite=_invite, until=time.monotonic() + WORK_SECONDS)
    report = award_all_due(now=timezone.now(), trigger=RunTrigger.BEAT, labour=labour)
    if not report.is_complete:
        _ask_again("award_due")


@shared_task(name="award_shards")
def award_shards(run: int) -> None:
    """Judge shards of the run with this primary key until there is none left to take."""
    labour = Labour(until=time.monotonic() + WORK_SECONDS)
    try:
        has_ended = award_shards_of(run=run, labour=labour)
    except AlreadyRunning as other:
        logger.info("not joined: %s", other)
        return
    if not has_ended and labour.is_over:
        _ask_again("award_shards", run)


def _invite(run: AwardRun) -> None:
    """Ask for help, which this worker can do without."""
    try:
        queue.invite_workers(run)
    except QueueUnreachable as error:
        logger.warning("%s", error)


def _ask_again(task: str, *arguments: int) -> None:
    """Ask to be continued; should that be lost, the next tick goes on, if nobody else does."""
    try:
        queue.send(task, *arguments)
    except QueueUnreachable as error:
        logger.warning("%s", error)
