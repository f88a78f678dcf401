"""The rows of runs and batches: opened, taken over, claimed, finished and closed."""

import logging
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from django.db import connection, transaction
from django.utils import timezone

from rewards.choices import BatchStatus, Cadence, RuleType, RunStatus, RunTrigger
from rewards.engine.periods import Period
from rewards.engine.values import AwardCounts
from rewards.models import AwardBatch, AwardRun
from rewards.selectors.activity import counted_events
from rewards.services import db_errors
from rewards.services.awarding import journal
from rewards.services.due import award_due
from tests.factories import (
    A_MONDAY,
    AwardRunFactory,
    DailyActivityFactory,
    HostFactory,
    RewardRuleFactory,
    ScoreFactory,
)
from tests.processes import another_session

pytestmark = pytest.mark.django_db

DAILY = Period(Cadence.DAILY, A_MONDAY)
WEEKLY = Period(Cadence.WEEKLY, A_MONDAY)
ENDED = datetime(2026, 11, 17, 1, tzinfo=UTC)
TWO_AWARDS = {"DAILY_LOGIN": {"awards": 2, "points": 20}}


def open_run(period=DAILY):
    return journal.open_run(period, trigger=RunTrigger.BEAT)


def running(**kwargs):
    return AwardRunFactory(status=RunStatus.RUNNING, finished_at=None, **kwargs)


def batch(run, number=0, **kwargs):
    values = {"after_user": number, "through_user": number + 1, "hosts": 10}
    if kwargs.get("status", BatchStatus.PENDING) != BatchStatus.PENDING:
        values["finished_at"] = ENDED
    return run.batches.create(**values | kwargs)


# --- Opening ----------------------------------------------------------------------------------


def test_a_new_run_is_fixed_when_it_opens(settings):
    settings.REWARDS_BATCH_SIZE = 2
    rule = RewardRuleFactory()
    first, second, third = (DailyActivityFactory(logins=2).user_id for _ in range(3))
    before = timezone.now()

    run, rules = open_run()

    run.refresh_from_db()
    assert (run.cadence, run.reference_date, run.attempt) == ("daily", A_MONDAY, 1)
    assert (run.status, run.trigger, run.takeovers) == (RunStatus.RUNNING, RunTrigger.BEAT, 0)
    assert before <= run.started_at <= timezone.now()
    assert run.events_seen == 6
    assert (run.rule_versions, [rule.version for rule in rules]) == ([rule.pk], [rule.pk])
    assert list(run.batches.values_list("after_user", "through_user", "hosts", "status")) == [
        (0, second, 2, BatchStatus.PENDING),
        (second, third, 1, BatchStatus.PENDING),
    ]
    assert first < second


def test_a_weekly_run_is_of_all_seven_days():
    sunday = A_MONDAY + timedelta(days=6)
    RewardRuleFactory()
    weekly = RewardRuleFactory(rule_type=RuleType.WEEKLY_CONSISTENCY, starts_on=sunday)
    for day in (A_MONDAY - timedelta(days=1), A_MONDAY, sunday, sunday + timedelta(days=1)):
        DailyActivityFactory(date=day, logins=3)

    run, rules = open_run(WEEKLY)

    assert ([rule.version for rule in rules], run.events_seen) == ([weekly.pk], 6)
    assert sum(run.batches.values_list("hosts", flat=True)) == 2


def test_attempts_are_numbered_by_cadence_and_date():
    for attempt in (1, 2):
        AwardRunFactory(attempt=attempt)
    AwardRunFactory(attempt=7, reference_date=A_MONDAY - timedelta(days=7))
    AwardRunFactory(attempt=9, cadence=Cadence.WEEKLY)

    assert open_run()[0].attempt == 3


def test_activity_after_the_count_of_events_is_late(monkeypatch):
    """The hosts of the batches are found after the events were counted, never before."""
    RewardRuleFactory()
    DailyActivityFactory()
    find = journal.id_ranges_of_active_hosts

    def find_then_receive(**kwargs):
        id_ranges = find(**kwargs)
        DailyActivityFactory()
        return id_ranges

    monkeypatch.setattr(journal, "id_ranges_of_active_hosts", find_then_receive)
    run, _ = open_run()

    assert (run.events_seen, counted_events(days=DAILY.days)) == (1, 2)


def test_late_activity_is_awarded_by_the_next_tick(monkeypatch):
    RewardRuleFactory()
    DailyActivityFactory()
    find = journal.id_ranges_of_active_hosts

    def find_then_receive(**kwargs):
        id_ranges = find(**kwargs)
        DailyActivityFactory()
        return id_ranges

    now = datetime(2026, 11, 17, 3, tzinfo=UTC)
    with monkeypatch.context() as patch:
        patch.setattr(journal, "id_ranges_of_active_hosts", find_then_receive)
        patch.setattr("rewards.services.due.MAX_PERIODS", 1)
        award_due(now=now, trigger=RunTrigger.BEAT)

    (report,) = award_due(now=now, trigger=RunTrigger.BEAT).runs

    assert (report.attempt, report.counts.awards) == (2, 1)


def locks_of_this_session():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT mode FROM pg_locks"
            " WHERE pid = pg_backend_pid() AND relation = 'rewards_rewardrule'::regclass"
        )
        return {mode for (mode,) in cursor}


def test_the_rules_are_locked_before_they_are_read(monkeypatch):
    """Writers of rules wait until the run is visible to them."""
    read = journal.active_versions
    locks = []

    def read_with_lock(**kwargs):
        locks.append(locks_of_this_session())
        return read(**kwargs)

    monkeypatch.setattr(journal, "active_versions", read_with_lock)
    open_run()

    assert "ShareLock" in locks[0]


@pytest.mark.django_db(transaction=True)
def test_a_run_waits_for_a_writer_of_rules(monkeypatch):
    """The writer holds its lock for longer than the run waits, each time."""
    monkeypatch.setattr(db_errors.time, "sleep", lambda seconds: None)
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '10ms'")
    with another_session() as session, session.transaction():
        session.execute("LOCK TABLE rewards_rewardrule IN SHARE ROW EXCLUSIVE MODE")

        with pytest.raises(Exception, match="lock timeout") as waited:
            open_run()

    connection.close()
    assert isinstance(waited.value.__cause__, psycopg.errors.LockNotAvailable)
    assert not AwardRun.objects.exists()


# --- Taking over ------------------------------------------------------------------------------


def test_an_interrupted_run_is_resumed_with_its_rules(caplog):
    old = RewardRuleFactory()
    run = running(rule_versions=[old.pk])
    RewardRuleFactory(starts_on=date(2026, 2, 1))
    before = timezone.now()

    with caplog.at_level(logging.WARNING):
        resumed, rules = open_run()

    run.refresh_from_db()
    assert (resumed, [rule.version for rule in rules]) == (run, [old.pk])
    assert run.takeovers == 1
    assert before <= run.taken_over_at <= timezone.now()
    assert caplog.messages == [f"run resumed: {run} was interrupted"]


@pytest.mark.parametrize(
    "other",
    [
        {"cadence": Cadence.WEEKLY},
        {"reference_date": A_MONDAY + timedelta(days=1)},
        {"status": RunStatus.PARTIAL, "finished_at": ENDED},
    ],
)
def test_only_an_open_run_of_the_period_is_resumed(other):
    other = AwardRunFactory(**{"status": RunStatus.RUNNING, "finished_at": None} | other)

    run, _ = open_run()

    assert run != other


def test_a_run_is_given_up_after_takeovers_without_progress(caplog):
    run = running(attempt=1)
    batch(run, 0, status=BatchStatus.DONE, hosts_evaluated=4, by_rule=TWO_AWARDS)
    pending = batch(run, 1)
    for _ in range(journal.MAX_TAKEOVERS):
        assert open_run()[0] == run

    second, _ = open_run()

    run.refresh_from_db()
    pending.refresh_from_db()
    error = "6 processes in a row ended before they had finished it."
    assert (second.attempt, run.takeovers) == (2, 5)
    assert (pending.status, pending.error) == (BatchStatus.FAILED, error)
    assert (run.status, run.hosts_failed, run.awards) == (RunStatus.PARTIAL, 10, 2)
    assert run.error == f"{pending}: {error}"
    assert run.finished_at
    assert caplog.messages[-1] == f"run given up: {run} was interrupted 6 times"
    assert caplog.records[-1].levelno == logging.ERROR


def test_takeovers_count_from_the_last_finished_batch():
    run = running(takeovers=journal.MAX_TAKEOVERS, taken_over_at=ENDED)
    batch(run, status=BatchStatus.DONE, finished_at=ENDED + timedelta(microseconds=1))

    assert open_run()[0] == run

    run.refresh_from_db()
    assert run.takeovers == 1


def test_a_batch_finished_before_the_takeover_is_no_progress():
    run = running(takeovers=3, taken_over_at=ENDED)
    batch(run, status=BatchStatus.DONE, finished_at=ENDED)

    open_run()

    run.refresh_from_db()
    assert run.takeovers == 4


# --- Batches ----------------------------------------------------------------------------------


def test_batches_are_claimed_in_order_of_host():
    run = running()
    batch(run, 0, status=BatchStatus.DONE)
    later = batch(run, 8)
    first = batch(run, 4)
    batch(running(reference_date=A_MONDAY + timedelta(days=1)), 0)

    assert journal.claim_batch(run) == first
    journal.finish_batch(first, counts=AwardCounts())
    assert journal.claim_batch(run) == later
    journal.finish_batch(later, counts=AwardCounts())
    assert journal.claim_batch(run) is None


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_another_process_has_claimed_is_skipped():
    run = running()
    first, second = batch(run, 0), batch(run, 1)
    claim = "SELECT FROM rewards_awardbatch WHERE id = %s FOR UPDATE"

    with another_session() as session, session.transaction():
        session.execute(claim, [first.pk])
        with transaction.atomic():
            assert journal.claim_batch(run) == second
        with session.transaction():
            session.execute(claim, [second.pk])
            with transaction.atomic():
                assert journal.claim_batch(run) is None


def test_a_finished_batch_has_its_counts():
    run = running()
    done, other = batch(run, 0), batch(run, 1)
    counts = AwardCounts(hosts_evaluated=3, hosts_rewarded=1)
    counts.add_awards("DAILY_LOGIN", awards=2, points=20)
    before = timezone.now()

    journal.finish_batch(done, counts=counts)

    done.refresh_from_db()
    other.refresh_from_db()
    assert done.status == BatchStatus.DONE
    assert before <= done.finished_at <= timezone.now()
    assert (done.hosts_evaluated, done.hosts_rewarded, done.awards, done.points) == (3, 1, 2, 20)
    assert done.by_rule == TWO_AWARDS
    assert other.status == BatchStatus.PENDING


@pytest.mark.parametrize(
    ("is_deferred", "status"), [(True, BatchStatus.DEFERRED), (False, BatchStatus.FAILED)]
)
def test_a_batch_fails_or_is_deferred(is_deferred, status):
    run = running()
    failed, other = batch(run, 0), batch(run, 1)
    before = timezone.now()

    journal.fail_batch(failed, error="DataError: too large", is_deferred=is_deferred)

    failed.refresh_from_db()
    other.refresh_from_db()
    assert (failed.status, failed.error) == (status, "DataError: too large")
    assert before <= failed.finished_at <= timezone.now()
    assert other.status == BatchStatus.PENDING


def test_a_batch_that_another_process_has_done_stays_done():
    done = batch(running(), status=BatchStatus.DONE)

    journal.fail_batch(done, error="too late", is_deferred=False)

    done.refresh_from_db()
    assert (done.status, done.error) == (BatchStatus.DONE, "")


def test_progress_counts_batches_that_have_ended():
    run = running()
    for number, status in enumerate(BatchStatus):
        batch(run, number, status=status)
    batch(run, 9, hosts=90)

    assert journal.progress(run) == (3, 5)
    assert journal.pending_hosts(run) == 100


def test_a_run_without_batches_has_no_pending_hosts():
    run = running()

    assert (journal.pending_hosts(run), journal.progress(run)) == (0, (0, 0))
    assert not journal.has_pending_batches(run)


def test_a_run_is_open_until_it_is_closed():
    open_one = running()
    closed = AwardRunFactory()

    assert journal.is_open(open_one)
    assert not journal.is_open(closed)


def test_only_pending_batches_keep_a_run_open():
    run = running()
    batch(run, 0, status=BatchStatus.FAILED)
    pending = batch(run, 1)

    assert journal.has_pending_batches(run)
    journal.finish_batch(pending, counts=AwardCounts())
    assert not journal.has_pending_batches(run)


@pytest.mark.django_db(transaction=True)
def test_only_one_process_closes_a_run():
    """Its row is locked until the transaction ends, and no award can name it meanwhile."""
    run = running()
    stale = AwardRun.objects.get()

    with another_session() as session, transaction.atomic():
        assert journal.close_run(run, DAILY)
        session.execute("SET lock_timeout = '10ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            session.execute("SELECT FROM rewards_awardrun FOR KEY SHARE")

    assert not journal.close_run(stale, DAILY)
    assert stale.status == RunStatus.DONE


# --- Closing ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batches", "status", "hosts_failed"),
    [
        ([], RunStatus.DONE, 0),
        ([BatchStatus.DONE], RunStatus.DONE, 0),
        ([BatchStatus.DONE, BatchStatus.FAILED], RunStatus.PARTIAL, 10),
        ([BatchStatus.DONE, BatchStatus.DEFERRED], RunStatus.PARTIAL, 0),
        ([BatchStatus.FAILED, BatchStatus.FAILED], RunStatus.FAILED, 20),
        ([BatchStatus.DEFERRED], RunStatus.FAILED, 0),
    ],
)
def test_the_status_of_a_closed_run(batches, status, hosts_failed):
    run = running()
    for number, batch_status in enumerate(batches):
        evaluated = 5 * (batch_status == BatchStatus.DONE)
        batch(run, number, status=batch_status, hosts_evaluated=evaluated)

    journal.close_run(run, DAILY)

    run.refresh_from_db()
    assert (run.status, run.hosts_failed) == (status, hosts_failed)


def test_one_evaluated_host_makes_a_run_partial():
    run = running()
    batch(run, 0, status=BatchStatus.DONE, hosts_evaluated=1)
    batch(run, 1, status=BatchStatus.FAILED)

    journal.close_run(run, DAILY)

    assert run.status == RunStatus.PARTIAL


def test_a_closed_run_has_the_sums_of_its_batches():
    run = running()
    for number in (1, 0):
        counts = {"hosts_evaluated": 5, "hosts_rewarded": 2, "by_rule": TWO_AWARDS}
        batch(run, number, status=BatchStatus.DONE, **counts)
    failed = [
        batch(run, number, status=BatchStatus.FAILED, error=f"Error {number}") for number in (3, 2)
    ]
    before = timezone.now()

    journal.close_run(run, DAILY)

    run.refresh_from_db()
    assert (run.hosts_evaluated, run.hosts_rewarded, run.awards, run.points) == (10, 4, 4, 40)
    assert run.by_rule == {"DAILY_LOGIN": {"awards": 4, "points": 40}}
    assert run.error == f"{failed[1]}: Error 2\n{failed[0]}: Error 3"
    assert before <= run.finished_at <= timezone.now()


def test_a_closed_run_has_the_leaders_of_its_week(monkeypatch):
    monkeypatch.setattr(journal, "MAX_LEADERS", 2)
    hosts = [HostFactory() for _ in range(3)]
    for host, weekly in zip(hosts, (5, 9, 7), strict=True):
        ScoreFactory(user=host, weekly=weekly)
    sunday = A_MONDAY + timedelta(days=6)
    run = running(reference_date=sunday)

    journal.close_run(run, Period(Cadence.DAILY, sunday))

    run.refresh_from_db()
    assert run.leaders == [[hosts[1].pk, 9], [hosts[2].pk, 7]]


@pytest.mark.parametrize(
    ("status", "error", "level", "end"),
    [
        (RunStatus.DONE, "", logging.INFO, "seconds=60.000"),
        (RunStatus.PARTIAL, "hosts\n1", logging.ERROR, r"seconds=60.000 error='hosts\n1'"),
        (RunStatus.FAILED, "", logging.ERROR, "seconds=60.000"),
    ],
)
def test_the_end_of_a_run_is_one_line_of_the_log(status, error, level, end, caplog):
    run = AwardRunFactory(
        attempt=3,
        status=status,
        error=error,
        hosts_evaluated=5,
        hosts_failed=2,
        awards=4,
        points=40,
    )

    with caplog.at_level(logging.INFO):
        journal.log_end(run)

    (record,) = caplog.records
    assert (record.name, record.levelno) == ("rewards.services.awarding", level)
    assert record.getMessage() == (
        f"run cadence=daily reference_date=2026-11-16 status={status} attempt=3 trigger=command "
        f"hosts_evaluated=5 hosts_failed=2 awards=4 points=40 {end}"
    )


def test_a_batch_is_named_by_its_hosts_and_run():
    run = running()

    assert str(AwardBatch(run=run, after_user=4, through_user=9)) == f"hosts 5 to 9 of {run.pk}"
