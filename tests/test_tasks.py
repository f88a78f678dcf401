"""The Celery tasks, called as functions."""

import logging

import pytest
from celery import current_app

from rewards import tasks
from rewards.choices import RunStatus, RunTrigger
from rewards.exceptions import AlreadyRunning, BadPeriod, QueueUnreachable
from rewards.models import AwardRun
from rewards.selectors.runs import lock_key
from rewards.services import due, worker_queue
from rewards.services.awarding import journal
from rewards.services.awarding.options import RunOptions
from tests.awards import award_daily
from tests.factories import A_MONDAY, DailyActivityFactory, RewardRuleFactory
from tests.processes import held_by_another

pytestmark = pytest.mark.django_db


@pytest.fixture
def messages(monkeypatch):
    sent = []
    monkeypatch.setattr(worker_queue, "enqueue", lambda *message: sent.append(message))
    return sent


@pytest.fixture
def broken_queue(monkeypatch):
    def fail(*message):
        raise QueueUnreachable("The broker cannot be reached.")

    monkeypatch.setattr(worker_queue, "enqueue", fail)


@pytest.fixture
def activity():
    RewardRuleFactory()
    return DailyActivityFactory()


def open_run():
    """Open a run and leave its batches to others."""
    award_daily(day=A_MONDAY, options=RunOptions(deadline=0))
    return AwardRun.objects.get().pk


def test_tasks_have_the_names_of_the_commands():
    names = {name for name in current_app.tasks if not name.startswith("celery.")}

    assert names >= {"award_due", "award_batches"}


def test_award_due_awards_what_is_due_with_the_workers(activity, messages):
    tasks.award_due()

    run = AwardRun.objects.filter(reference_date=A_MONDAY, cadence="daily").get()
    assert (run.status, run.trigger, run.awards) == (RunStatus.DONE, RunTrigger.BEAT, 1)
    assert ("award_batches", run.pk) in messages
    assert ("award_due",) not in messages


def test_award_due_continues_later_when_its_time_is_over(activity, messages, monkeypatch):
    monkeypatch.setattr(tasks, "WORK_SECONDS", 0)

    tasks.award_due()

    assert messages == [("award_due",)]


@pytest.mark.usefixtures("broken_queue")
def test_award_due_needs_no_broker(activity, caplog):
    tasks.award_due()

    assert AwardRun.objects.filter(status=RunStatus.DONE).count() == 2
    warnings = [record.getMessage() for record in caplog.records if record.name == "rewards.tasks"]
    assert warnings == ["The broker cannot be reached."] * 2


def test_award_batches_completes_a_run(activity, messages):
    run = open_run()

    tasks.award_batches(run)

    assert AwardRun.objects.get().status == RunStatus.DONE
    assert messages == []


def test_award_batches_continues_later_when_its_time_is_over(activity, messages, monkeypatch):
    monkeypatch.setattr(tasks, "WORK_SECONDS", 0)
    run = open_run()

    tasks.award_batches(run)

    assert messages == [("award_batches", run)]


def test_award_batches_leaves_the_last_batches_to_others(activity, messages, monkeypatch):
    """Other processes work on them, and its own time is not over."""
    run = open_run()
    monkeypatch.setattr(journal, "claim_batch", lambda run: None)

    tasks.award_batches(run)

    assert AwardRun.objects.get().status == RunStatus.RUNNING
    assert messages == []


@pytest.mark.usefixtures("broken_queue")
def test_award_batches_needs_no_broker(activity, monkeypatch, caplog):
    monkeypatch.setattr(tasks, "WORK_SECONDS", 0)

    tasks.award_batches(open_run())

    assert caplog.messages == ["The broker cannot be reached."]


def test_award_batches_of_a_run_that_does_not_exist(messages):
    tasks.award_batches(0)

    assert messages == []


@pytest.mark.django_db(transaction=True)
def test_award_batches_gives_way_to_a_process_that_opens_a_run(activity, messages, caplog):
    run = open_run()

    with (
        held_by_another(lock_key(AwardRun.objects.get().period)),
        caplog.at_level(logging.INFO, logger="rewards.tasks"),
    ):
        tasks.award_batches(run)

    assert [message.split(":")[0] for message in caplog.messages] == ["not joined"]
    assert messages == []


@pytest.mark.parametrize("error", [BadPeriod("no"), RuntimeError("no")])
def test_an_error_of_a_task_is_not_swallowed(monkeypatch, error):
    """Celery reports it, and ADMINS get a mail."""

    def fail(**kwargs):
        raise error

    monkeypatch.setattr(tasks, "join_run", fail)
    monkeypatch.setattr(tasks, "award_all_due", fail)

    with pytest.raises(type(error)):
        tasks.award_batches(1)
    with pytest.raises(type(error)):
        tasks.award_due()


def test_a_busy_period_is_no_error_of_award_due(activity, messages, monkeypatch):
    def fail(**kwargs):
        raise AlreadyRunning("Another process runs it.")

    monkeypatch.setattr(due, "award", fail)

    tasks.award_due()

    assert messages == []


def test_a_task_stops_far_below_the_time_limit(settings):
    assert tasks.WORK_SECONDS * 4 <= settings.CELERY_TASK_SOFT_TIME_LIMIT
