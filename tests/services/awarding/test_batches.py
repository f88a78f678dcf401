"""The batches of a run: order, conflicts, failures, and the second thread of a large run."""

import itertools
import logging
import threading
import time

import psycopg
import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, connection

from rewards.choices import BatchStatus, RunStatus
from rewards.models import AwardBatch, AwardRun, Score, ScoreHistory
from rewards.models.ledger import AWARD_ONCE
from rewards.services import db_errors
from rewards.services.awarding import batches
from rewards.services.awarding.options import RunOptions
from tests.awards import award_daily
from tests.factories import A_MONDAY, DailyActivityFactory, HostFactory, RewardRuleFactory
from tests.processes import TIMEOUT_SECONDS

HOSTS = 3


@pytest.fixture
def hosts(db, settings):
    """Hosts that each have a batch, and earn 10 points."""
    settings.REWARDS_BATCH_SIZE = 1
    RewardRuleFactory()
    return [DailyActivityFactory().user for _ in range(HOSTS)]


@pytest.fixture
def waits(monkeypatch):
    """The limits of the random waits after conflicts, which are skipped."""
    limits = []
    monkeypatch.setattr(db_errors.random, "uniform", lambda low, high: limits.append(high) or 0)
    return limits


def award(**options):
    return award_daily(day=A_MONDAY, options=RunOptions(**options))


def database_error(kind, sqlstate=None, constraint=""):
    """Return an error as Django raises it, with the one of psycopg as its cause."""
    cause = psycopg.errors.lookup(sqlstate)() if sqlstate else psycopg.OperationalError()
    error = kind("the first line\nDETAIL: more")
    error.__cause__ = cause
    return error


@pytest.fixture
def evaluation(monkeypatch):
    """Let a function run instead of the evaluation of each batch, which it may call."""
    original = batches.award_id_range

    def replace(function):
        monkeypatch.setattr(
            batches,
            "award_id_range",
            lambda *args, **kwargs: function(lambda: original(*args, **kwargs), kwargs["id_range"]),
        )

    return replace


# --- One after the other ----------------------------------------------------------------------


def test_batches_are_written_in_order_of_host(hosts, evaluation):
    ranges = []
    evaluation(lambda award, id_range: ranges.append(id_range[:2]) or award())

    award()

    ends = [0, *(host.pk for host in hosts)]
    assert ranges == list(itertools.pairwise(ends))


def test_ledger_and_scores_are_written_in_order_of_host(db):
    """Runs that lock hosts in the same order wait for each other, and never deadlock."""
    RewardRuleFactory()
    for host in reversed(HostFactory.create_batch(5)):
        DailyActivityFactory(user=host)

    award()

    with connection.cursor() as cursor:
        cursor.execute("SELECT user_id FROM rewards_score ORDER BY ctid")
        scores = [user for (user,) in cursor]
    ledger = list(ScoreHistory.objects.order_by("pk").values_list("user", flat=True))
    assert scores == ledger == sorted(ledger)


def test_progress_is_reported_after_each_batch(hosts):
    progress = []

    award(on_progress=lambda *numbers: progress.append(numbers))

    assert progress == [(1, 3), (2, 3), (3, 3)]


def test_no_batch_is_begun_after_the_deadline(hosts, evaluation, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(batches.time, "monotonic", lambda: now[0])

    def take_a_second(award, id_range):
        now[0] += 1
        return award()

    evaluation(take_a_second)

    award(deadline=102)

    assert ScoreHistory.objects.count() == 2
    assert AwardRun.objects.get().status == RunStatus.RUNNING


# --- Conflicts --------------------------------------------------------------------------------


def test_a_conflict_is_retried_and_then_deferred(hosts, evaluation, waits, caplog):
    """Other batches have tries of their own."""
    calls = []

    def wait_in_vain(award, id_range):
        calls.append(id_range.through_user)
        if id_range.through_user == hosts[2].pk:
            return award()
        raise database_error(OperationalError, "55P03")

    evaluation(wait_in_vain)

    with caplog.at_level(logging.INFO, logger="rewards.services"):
        report = award()

    first, second, third = (host.pk for host in hosts)
    assert calls == [first] * 5 + [second] * 5 + [third]
    assert waits == [0.1, 0.2, 0.4, 0.8] * 2
    assert report.status == RunStatus.PARTIAL
    assert list(AwardBatch.objects.order_by("pk").values_list("status", "error")) == [
        (BatchStatus.DEFERRED, "OperationalError: the first line"),
        (BatchStatus.DEFERRED, "OperationalError: the first line"),
        (BatchStatus.DONE, ""),
    ]
    assert caplog.messages[0] == "batch met a conflict, try 1: the first line"
    assert caplog.messages[4].startswith("batch failed: hosts 1 to ")
    assert not caplog.records[4].exc_info


def test_a_conflict_that_passes_leaves_no_trace(hosts, evaluation, waits):
    """A batch that waited is claimed again, and awarded once."""
    errors = [database_error(OperationalError, "40P01") for _ in range(4)]

    def meet_conflicts(award, id_range):
        counts = award()
        if errors:
            raise errors.pop()
        return counts

    evaluation(meet_conflicts)

    report = award()

    assert (report.status, report.counts.awards) == (RunStatus.DONE, HOSTS)
    assert ScoreHistory.objects.count() == HOSTS


def test_an_award_of_another_process_is_a_conflict(hosts, evaluation, waits):
    """The constraint refuses the second award; with fresh maps it is not due any more."""
    is_first = True

    def be_late(award, id_range):
        nonlocal is_first
        if is_first:
            is_first = False
            error = database_error(IntegrityError, "23505")
            error.__cause__ = type("Cause", (Exception,), {"sqlstate": "23505"})()
            error.__cause__.diag = type("Diag", (), {"constraint_name": AWARD_ONCE})
            raise error
        return award()

    evaluation(be_late)

    assert award().status == RunStatus.DONE


# --- Failures ---------------------------------------------------------------------------------


def test_a_failed_batch_is_logged_and_the_rest_goes_on(hosts, caplog):
    Score.objects.create(
        user=hosts[1], lifetime=2**63 - 1, daily_date=A_MONDAY, week_start=A_MONDAY
    )

    with caplog.at_level(logging.WARNING):
        award()

    run = AwardRun.objects.get()
    failed = AwardBatch.objects.get(status=BatchStatus.FAILED)
    assert failed.error == "DataError: bigint out of range"
    assert (run.status, run.hosts_failed, run.awards) == (RunStatus.PARTIAL, 1, 2)
    assert list(ScoreHistory.objects.values_list("user", flat=True)) == [hosts[0].pk, hosts[2].pk]
    message, _ = caplog.records
    assert message.getMessage() == f"batch failed: {failed}: bigint out of range"
    assert message.exc_info


@pytest.mark.parametrize("error", [ValueError("wrong"), OverflowError("wrong")])
def test_an_error_of_python_fails_a_batch(hosts, evaluation, error):
    def fail_once(award, id_range):
        if id_range.after_user == 0:
            raise error
        return award()

    evaluation(fail_once)

    report = award()

    assert (report.status, report.counts.awards) == (RunStatus.PARTIAL, 2)
    assert report.error.endswith(f"{type(error).__name__}: wrong")


def test_an_error_of_the_program_ends_the_run(hosts, evaluation):
    def fail(award, id_range):
        raise AttributeError

    evaluation(fail)

    with pytest.raises(AttributeError):
        award()

    assert AwardRun.objects.get().status == RunStatus.RUNNING


@pytest.mark.parametrize("sqlstate", [None, "57P01", "08006"])
def test_a_lost_connection_ends_the_process(hosts, evaluation, sqlstate):
    def lose_connection(award, id_range):
        raise database_error(OperationalError, sqlstate)

    evaluation(lose_connection)

    with pytest.raises(OperationalError):
        award()

    assert set(AwardBatch.objects.values_list("status", flat=True)) == {BatchStatus.PENDING}


def test_an_error_of_a_claim_ends_the_process(hosts, monkeypatch, waits):
    """There is no batch to mark."""
    calls = []

    def fail(run):
        calls.append(run)
        raise database_error(OperationalError, "55P03")

    monkeypatch.setattr(batches.journal, "claim_batch", fail)

    with pytest.raises(DatabaseError):
        award()

    assert len(calls) == 5


# --- The second thread ------------------------------------------------------------------------

THREAD_HOSTS = 12


@pytest.fixture
def large_run(transactional_db, settings, monkeypatch):
    settings.REWARDS_BATCH_SIZE = 1
    monkeypatch.setattr(batches, "SECOND_THREAD_FROM", THREAD_HOSTS)
    RewardRuleFactory()
    DailyActivityFactory.create_batch(THREAD_HOSTS)


def is_second():
    return threading.current_thread() is not threading.main_thread()


def threads_of(evaluation):
    threads = set()
    evaluation(lambda award, id_range: threads.add(threading.current_thread()) or award())
    return threads


def test_two_threads_share_a_large_run(large_run, evaluation):
    both = threading.Barrier(2, timeout=TIMEOUT_SECONDS)
    met = set()

    def meet_once(award, id_range):
        if is_second() not in met:
            met.add(is_second())
            both.wait()
        return award()

    evaluation(meet_once)
    progress = []

    report = award(second_thread=True, on_progress=lambda *numbers: progress.append(is_second()))

    assert met == {True, False}
    assert (report.status, report.counts.awards) == (RunStatus.DONE, THREAD_HOSTS)
    assert ScoreHistory.objects.count() == THREAD_HOSTS
    assert set(progress) == {False}


def test_a_smaller_run_has_one_thread(large_run, evaluation, monkeypatch):
    monkeypatch.setattr(batches, "SECOND_THREAD_FROM", THREAD_HOSTS + 1)
    threads = threads_of(evaluation)

    award(second_thread=True)

    assert threads == {threading.main_thread()}


def test_a_run_has_one_thread_unless_told(large_run, evaluation):
    threads = threads_of(evaluation)

    award()

    assert threads == {threading.main_thread()}


def test_an_error_of_the_second_thread_ends_the_run(large_run, evaluation):
    def fail(award, id_range):
        if is_second():
            raise MemoryError
        time.sleep(0.01)
        return award()

    evaluation(fail)

    with pytest.raises(MemoryError):
        award(second_thread=True)

    assert AwardRun.objects.get().status == RunStatus.RUNNING


def test_an_interrupt_ends_both_threads(large_run, evaluation):
    stopped = threading.Event()

    def stop_once(award, id_range):
        if is_second():
            stopped.wait(TIMEOUT_SECONDS)
        elif not stopped.is_set():
            stopped.set()
            raise KeyboardInterrupt
        return award()

    evaluation(stop_once)

    with pytest.raises(KeyboardInterrupt):
        award(second_thread=True)

    assert ScoreHistory.objects.count() < THREAD_HOSTS - 1
    assert award().counts.awards == THREAD_HOSTS


def test_the_second_thread_keeps_to_the_deadline(large_run, evaluation):
    evaluation(lambda award, id_range: time.sleep(0.05) or award())

    award(second_thread=True, deadline=time.monotonic() + 0.1)

    assert ScoreHistory.objects.count() < THREAD_HOSTS


def test_the_second_thread_closes_its_connection(large_run, evaluation):
    threads_of(evaluation)

    award(second_thread=True)

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND backend_type = 'client backend'"
        )
        assert cursor.fetchone() == (1,)


def test_large_means_fifty_thousand_hosts():
    assert batches.SECOND_THREAD_FROM == 50_000
