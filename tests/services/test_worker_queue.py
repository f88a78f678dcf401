"""Messages to the workers, on a broker in memory."""

import pytest
from celery import current_app
from kombu.exceptions import OperationalError

from rewards.choices import BatchStatus, RunStatus
from rewards.exceptions import QueueUnreachable
from rewards.services import worker_queue
from tests.factories import AwardRunFactory


@pytest.fixture
def sent(monkeypatch):
    """The messages that would have been sent."""
    messages = []
    monkeypatch.setattr(
        current_app, "send_task", lambda task, **kwargs: messages.append((task, kwargs))
    )
    return messages


def run_with_batches(**number_of):
    run = AwardRunFactory(status=RunStatus.RUNNING, finished_at=None)
    statuses = [status for status, number in number_of.items() for _ in range(number)]
    for number, status in enumerate(statuses):
        finished_at = None if status == BatchStatus.PENDING else run.started_at
        run.batches.create(
            after_user=number, through_user=number + 1, status=status, finished_at=finished_at
        )
    return run


def test_a_message_has_its_task_and_arguments(sent):
    worker_queue.enqueue("award_batches", 7)

    ((task, options),) = sent
    assert (task, options.pop("args")) == ("award_batches", (7,))
    # Nobody reads results, and a web request does not wait for a broker that is down.
    assert options == {
        "ignore_result": True,
        "retry_policy": {"max_retries": 2, "interval_start": 0.1, "interval_max": 0.5},
    }


@pytest.mark.django_db
def test_one_message_for_each_pending_batch(sent):
    run = run_with_batches(pending=3, done=4, failed=1)

    worker_queue.notify_workers(run)

    assert [(task, options["args"]) for task, options in sent] == [("award_batches", (run.pk,))] * 3


@pytest.mark.django_db
def test_the_number_of_messages_is_limited(sent, monkeypatch):
    monkeypatch.setattr(worker_queue, "MAX_MESSAGES", 2)

    worker_queue.notify_workers(run_with_batches(pending=3))

    assert len(sent) == 2


def test_a_broker_outage_has_one_error(monkeypatch):
    def fail(*args, **kwargs):
        raise OperationalError("Connection refused")

    monkeypatch.setattr(current_app, "send_task", fail)

    with pytest.raises(QueueUnreachable) as unreachable:
        worker_queue.enqueue("award_due")

    assert str(unreachable.value) == (
        "The broker cannot be reached, so no worker was notified (Connection refused); what is due "
        "stays due and is awarded by the next tick or by award_due."
    )


def test_another_error_is_not_hidden(monkeypatch):
    def fail(*args, **kwargs):
        raise TypeError

    monkeypatch.setattr(current_app, "send_task", fail)

    with pytest.raises(TypeError):
        worker_queue.enqueue("award_due")
