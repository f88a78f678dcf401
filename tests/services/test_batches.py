"""Large runs are evaluated in two threads, each with a connection of its own."""

import threading
from datetime import UTC, datetime

import pytest

from rewards.choices import RunStatus, RunTrigger
from rewards.models import AwardRun, ScoreHistory
from rewards.services.awarding import batches
from tests import awards
from tests.factories import A_MONDAY, DailyActivityFactory, RewardRuleFactory

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
HOSTS = 12


@pytest.fixture(autouse=True)
def a_large_run(settings, monkeypatch):
    settings.REWARDS_BATCH_SIZE = 1
    monkeypatch.setattr(batches, "SECOND_THREAD_FROM", HOSTS)
    RewardRuleFactory()
    DailyActivityFactory.create_batch(HOSTS)


@pytest.fixture
def batch(monkeypatch):
    """Have a function called instead of the evaluating of each batch, on which it can insist."""

    def replace(function):
        award_id_range = batches.award_id_range
        monkeypatch.setattr(
            batches,
            "award_id_range",
            lambda *args, **kwargs: function(lambda: award_id_range(*args, **kwargs)),
        )

    return replace


def award():
    return awards.award_daily(day=A_MONDAY, now=NOW, trigger=RunTrigger.COMMAND)


def is_assistant():
    return threading.current_thread() is not threading.main_thread()


def test_two_threads_share_a_large_run(batch):
    both = threading.Barrier(2, timeout=30)
    met = set()

    def meet_once(evaluate):
        if is_assistant() not in met:
            met.add(is_assistant())
            both.wait()
        return evaluate()

    batch(meet_once)

    report = award()

    assert met == {True, False}
    assert (report.status, report.counts.awards) == (RunStatus.DONE, HOSTS)
    assert ScoreHistory.objects.count() == HOSTS


def test_a_small_run_has_one_thread(batch, monkeypatch):
    monkeypatch.setattr(batches, "SECOND_THREAD_FROM", HOSTS + 1)
    threads = set()

    def note(evaluate):
        threads.add(threading.current_thread())
        return evaluate()

    batch(note)

    award()

    assert threads == {threading.main_thread()}


def test_what_breaks_the_assistant_breaks_the_run(batch):
    def break_down(evaluate):
        if is_assistant():
            raise MemoryError
        return evaluate()

    batch(break_down)

    with pytest.raises(MemoryError):
        award()

    assert AwardRun.objects.get().status == RunStatus.RUNNING


def test_who_stops_the_run_stops_the_assistant(batch):
    stopped = threading.Event()

    def stop_once(evaluate):
        if is_assistant():
            stopped.wait(30)
        elif not stopped.is_set():
            stopped.set()
            raise KeyboardInterrupt
        return evaluate()

    batch(stop_once)

    with pytest.raises(KeyboardInterrupt):
        award()

    assert ScoreHistory.objects.count() < HOSTS - 1
    assert award().counts.awards == HOSTS
