"""Asking the workers of a queue to help, by the names of their tasks."""

from celery import current_app
from kombu.exceptions import OperationalError

from rewards.choices import ShardStatus
from rewards.exceptions import QueueUnreachable
from rewards.models import AwardRun

MAX_HELPERS = 32
"""Messages sent for one run at the most: what is pending stands in the database, so that a
message only says that there is work, and one for each worker is enough."""


def invite_workers(run: AwardRun) -> None:
    """Ask as many workers to join `run` as it has shards to judge.

    Whoever comes and finds nothing left to do goes away again. Raises QueueUnreachable.
    """
    pending = run.shards.filter(status=ShardStatus.PENDING).count()
    for _ in range(min(pending, MAX_HELPERS)):
        send("award_shards", run.pk)


def send(task: str, *arguments: int | str) -> None:
    """Put one message on the queue. Raises QueueUnreachable."""
    try:
        current_app.send_task(
            task,
            args=arguments,
            ignore_result=True,
            retry_policy={"max_retries": 2, "interval_start": 0.1, "interval_max": 0.5},
        )
    except OperationalError as error:
        raise QueueUnreachable(
            f"The queue's broker cannot be reached, so no worker was told ({error}); what is "
            "due stays due, and is awarded by the next tick or by award_due."
        ) from error
