"""What the journal of each period says, and which periods a process is running."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from rewards.choices import BatchStatus, Cadence, RunStatus, RunTrigger
from rewards.engine.periods import Journal, Period
from rewards.exceptions import UnknownRun
from rewards.selectors.runs import (
    OpenRun,
    RunPlace,
    RunTotals,
    journals,
    latest_evaluated_day,
    lock_key,
    open_runs,
    run_by_id,
    run_totals,
    running_periods,
    runs_page,
)
from rewards.selectors.visible_hosts import ALL_HOSTS
from tests.factories import A_MONDAY, AwardRunFactory
from tests.processes import held_by_another

pytestmark = pytest.mark.django_db

ONE_DAY = timedelta(days=1)
DAY = Period(Cadence.DAILY, A_MONDAY)
WEEK = Period(Cadence.WEEKLY, A_MONDAY)


def runs(*statuses, **kwargs):
    """Store a run for each status, in order of attempt; "failed" has a failed host."""
    values = {
        "done": {},
        "running": {"finished_at": None},
        "failed": {"hosts_failed": 1},
        "partial": {"hosts_failed": 1},
        "deferred": {"status": RunStatus.PARTIAL},
    }
    return [
        AwardRunFactory(**{"attempt": number, "status": status} | values[status] | kwargs)
        for number, status in enumerate(statuses, start=1)
    ]


# --- Journals ---------------------------------------------------------------------------------


def test_no_runs_have_no_journal():
    assert journals() == {}


def test_the_journal_of_a_done_period():
    runs("done", events_seen=7, rule_versions=[3, 5])

    assert journals() == {
        DAY: Journal(
            is_open=False,
            events_seen=7,
            rule_versions=frozenset({3, 5}),
            is_incomplete=False,
            failures=0,
        )
    }


def test_a_journal_without_a_done_run():
    runs("failed", events_seen=7, rule_versions=[3])

    assert journals()[DAY] == Journal(
        is_open=False,
        events_seen=None,
        rule_versions=frozenset(),
        is_incomplete=True,
        failures=1,
    )


@pytest.mark.parametrize(
    ("statuses", "is_open", "is_incomplete", "failures"),
    [
        (["done"], False, False, 0),
        (["running"], True, False, 0),
        (["failed"], False, True, 1),
        (["partial", "failed"], False, True, 2),
        # Deferred batches are no failure, and leave the period incomplete.
        (["deferred"], False, True, 0),
        (["failed", "deferred"], False, True, 1),
        # Failures before a done run are past.
        (["failed", "failed", "done"], False, False, 0),
        (["failed", "failed", "done", "failed"], False, True, 1),
        (["done", "failed", "partial"], False, True, 2),
        (["failed", "done", "running"], True, False, 0),
        (["done", "failed", "running"], True, True, 1),
    ],
)
def test_a_journal_since_the_last_done_run(statuses, is_open, is_incomplete, failures):
    runs(*statuses)

    journal = journals()[DAY]

    assert (journal.is_open, journal.is_incomplete, journal.failures) == (
        is_open,
        is_incomplete,
        failures,
    )


def test_the_journal_is_that_of_the_last_done_run():
    """Neither the largest count nor the latest run decides."""
    for attempt, (status, seen) in enumerate([("done", 9), ("done", 8), ("failed", 10)], start=1):
        AwardRunFactory(
            attempt=attempt, status=status, events_seen=seen, rule_versions=[seen], hosts_failed=1
        )

    journal = journals()[DAY]

    assert (journal.events_seen, journal.rule_versions) == (8, frozenset({8}))
    assert journal.failures == 1


def test_each_period_has_a_journal_of_its_own():
    runs("done")
    runs("failed", cadence=Cadence.WEEKLY)
    runs("running", reference_date=A_MONDAY + ONE_DAY)

    found = journals()

    assert set(found) == {DAY, WEEK, Period(Cadence.DAILY, A_MONDAY + ONE_DAY)}
    assert [journal.failures for journal in found.values()].count(1) == 1
    assert (found[DAY].is_incomplete, found[WEEK].is_incomplete) == (False, True)


# --- Running periods --------------------------------------------------------------------------


def test_each_period_has_a_key_of_its_own():
    periods = [DAY, WEEK, Period(Cadence.DAILY, A_MONDAY + ONE_DAY)]

    assert len({lock_key(period) for period in periods}) == 3
    assert lock_key(DAY) == (0x5244, A_MONDAY.toordinal())


@pytest.mark.parametrize("function", ["pg_advisory_lock", "pg_advisory_lock_shared"])
@pytest.mark.parametrize("period", [DAY, WEEK])
def test_a_period_runs_while_its_lock_is_held(period, function):
    with held_by_another(lock_key(period), function=function):
        assert running_periods() == {period}

    assert running_periods() == set()


def test_a_period_that_several_processes_run_is_listed_once():
    shared = "pg_advisory_lock_shared"
    with (
        held_by_another(lock_key(DAY), function=shared),
        held_by_another(lock_key(DAY), function=shared),
        held_by_another(lock_key(WEEK), function=shared),
    ):
        assert running_periods() == {DAY, WEEK}


def test_other_advisory_locks_are_no_periods():
    day = A_MONDAY.toordinal()
    with held_by_another((0x5245, day)), connection.cursor() as cursor:
        # One key of 64 bits, whose halves are those of a period.
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [(0x5244 << 32) + day])

        assert running_periods() == set()


def test_a_process_that_waits_for_a_lock_runs_nothing():
    """Asked for in this session, as nobody waits in the product."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", lock_key(DAY))
        assert running_periods() == {DAY}
        cursor.execute("SELECT pg_advisory_unlock(%s, %s)", lock_key(DAY))
    assert running_periods() == set()


def test_locks_of_another_database_are_not_ours():
    """The server may hold several installations."""
    parameters = connection.get_connection_params()
    with connection._nodb_cursor() as cursor:
        assert parameters["dbname"] != "postgres"
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", lock_key(DAY))

        assert running_periods() == set()


# --- Totals -----------------------------------------------------------------------------------


def test_the_totals_of_a_period_add_up_its_runs():
    started = datetime(2026, 11, 17, tzinfo=UTC)
    for attempt, (hosts, rewarded, seconds) in enumerate([(5, 3, 20), (6, 1, 40)], start=1):
        AwardRunFactory(
            attempt=attempt,
            hosts_evaluated=hosts,
            hosts_rewarded=rewarded,
            awards=rewarded,
            points=10 * rewarded,
            trigger=RunTrigger.BEAT if attempt == 1 else RunTrigger.ADMIN,
            started_at=started,
            finished_at=started + timedelta(seconds=seconds),
            error="" if attempt == 1 else "failed",
        )

    assert run_totals(first=A_MONDAY, last=A_MONDAY) == {
        DAY: RunTotals(
            attempts=2,
            hosts=6,
            hosts_rewarded=4,
            awards=4,
            points=40,
            seconds=60,
            trigger="admin",
            finished_at=started + timedelta(seconds=40),
            error="failed",
        )
    }


def test_totals_are_of_the_days_asked_for():
    for offset in (-1, 0, 1, 2):
        AwardRunFactory(reference_date=A_MONDAY + offset * ONE_DAY)
    AwardRunFactory(cadence=Cadence.WEEKLY)

    found = run_totals(first=A_MONDAY, last=A_MONDAY + ONE_DAY)

    assert set(found) == {DAY, WEEK, Period(Cadence.DAILY, A_MONDAY + ONE_DAY)}


def test_a_run_that_has_not_ended_has_no_seconds():
    runs("running")

    totals = run_totals(first=A_MONDAY, last=A_MONDAY)[DAY]

    assert (totals.seconds, totals.finished_at) == (0, None)


def test_the_latest_evaluated_day_is_that_of_daily_runs():
    assert latest_evaluated_day() is None
    runs("running")
    AwardRunFactory(reference_date=A_MONDAY - ONE_DAY)
    AwardRunFactory(reference_date=A_MONDAY + 7 * ONE_DAY, cadence=Cadence.WEEKLY)

    assert latest_evaluated_day() == A_MONDAY


def test_open_runs_have_their_progress():
    started = datetime(2026, 11, 17, tzinfo=UTC)
    (newer,) = runs("running", started_at=started + ONE_DAY)
    (older,) = runs("running", started_at=started, cadence=Cadence.WEEKLY)
    runs("done", reference_date=A_MONDAY + ONE_DAY)
    for number, status in enumerate(["done", "failed", "deferred", "pending"]):
        older.batches.create(
            after_user=number,
            through_user=number + 1,
            status=status,
            finished_at=None if status == BatchStatus.PENDING else started,
            awards=number + 1,
        )

    assert open_runs() == [
        OpenRun("weekly", A_MONDAY, 1, started, 3, 4, 10),
        OpenRun("daily", A_MONDAY, 1, newer.started_at, 0, 0, 0),
    ]


# --- One run, and pages of runs ---------------------------------------------------------------


def test_a_run_is_found_by_its_id():
    run, _ = runs("done", "done")

    assert run_by_id(run=run.pk, visible=ALL_HOSTS) == run


@pytest.mark.parametrize("run", [0, -1, 10**30])
def test_an_unknown_run(run):
    with pytest.raises(UnknownRun, match=rf"^There is no run {run}\.$"):
        run_by_id(run=run, visible=ALL_HOSTS)


def test_a_page_of_runs_begins_after_a_place():
    first, second = runs("done", "done")
    (weekly,) = runs("done", cadence=Cadence.WEEKLY)
    (tuesday,) = runs("done", reference_date=A_MONDAY + ONE_DAY)
    (late,) = runs("running", reference_date=A_MONDAY + 2 * ONE_DAY)
    ordered = [tuesday, weekly, second, first]

    def page(after=None, limit=9, last=A_MONDAY + ONE_DAY):
        return runs_page(first=A_MONDAY, last=last, after=after, limit=limit, visible=ALL_HOSTS)

    assert page().rows == ordered
    assert page().next is None
    assert page(limit=4).next is None
    assert page(last=late.reference_date).rows == [late, *ordered]
    for number, run in enumerate(ordered[:-1], start=1):
        place = RunPlace(run.reference_date, run.cadence, run.attempt)
        assert page(limit=number).next == place
        assert page(place).rows == ordered[number:]
    assert page(RunPlace(A_MONDAY, Cadence.DAILY, 1)).rows == []
