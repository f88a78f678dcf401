"""One host: its activity, awards and events, and the runs that evaluated it."""

from datetime import UTC, datetime, timedelta

import pytest

from rewards.choices import ADJUSTMENT, ActivityKind, BatchStatus, Cadence, RunKind
from rewards.engine.periods import Period
from rewards.exceptions import UnknownHost
from rewards.models import ActivityEvent, DailyActivity, ScoreHistory
from rewards.selectors import hosts
from rewards.selectors.visible_hosts import ALL_HOSTS
from tests.factories import (
    A_MONDAY,
    ActivityEventFactory,
    AwardRunFactory,
    DailyActivityFactory,
    HostFactory,
    RewardRuleFactory,
    ScoreFactory,
    ScoreHistoryFactory,
    StaffFactory,
)

pytestmark = pytest.mark.django_db

ONE_DAY = timedelta(days=1)
NOON = datetime(2026, 11, 16, 12, tzinfo=UTC)


@pytest.fixture
def host():
    return HostFactory(external_id="ana")


def test_a_user_is_known_by_external_id(host):
    staff = StaffFactory(external_id="bo")

    assert hosts.user_by_external_id(external_id="ana") == host
    assert hosts.user_by_external_id(external_id="bo") == staff
    assert hosts.user_by_external_id(external_id="Ana") is None


def test_a_host_is_found_with_its_score(host, django_assert_num_queries):
    score = ScoreFactory(user=host)

    with django_assert_num_queries(1):
        found = hosts.host_by_external_id(external_id="ana", visible=ALL_HOSTS)
        assert (found, found.score) == (host, score)


@pytest.mark.parametrize("name", ["bo", "Ana", "ana\n", "", "a\0", "a b", "x" * 100_000])
def test_who_is_no_host_is_unknown(host, name):
    """Also a member of staff, and ids that the database would refuse to compare."""
    StaffFactory(external_id="bo")

    with pytest.raises(UnknownHost) as refusal:
        hosts.host_by_external_id(external_id=name, visible=ALL_HOSTS)

    assert str(refusal.value) == f"No host has the external id {name!a:.80}."


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("an", ["Ana Lund", "Bo Andersen", "ANITA"]),
        ("LUND", ["Ana Lund"]),
        ("ana lu", ["Ana Lund"]),
        ("ana x lu", ["Ana Lund"]),  # words between are middle names
        ("lund ana", []),
        ("na", []),
        ("b", ["Bo Andersen"]),
    ],
)
def test_hosts_are_found_by_how_their_name_begins(name, found):
    for full_name in ("Ana Lund", "Bo Andersen", "ANITA", ""):
        first, _, last = full_name.partition(" ")
        HostFactory(first_name=first, last_name=last)
    StaffFactory(first_name="Ana", last_name="Lund")

    named = hosts.hosts_named(name=name, limit=9)

    users = hosts.Host.objects.in_bulk(named)
    assert [users[user].get_full_name() for user in named] == found
    assert hosts.hosts_named(name=name, limit=1) == named[:1]


def test_the_activity_of_a_host_is_latest_first(host):
    rows = [
        DailyActivityFactory(user=host, date=A_MONDAY + offset * ONE_DAY) for offset in range(3)
    ]
    DailyActivityFactory()

    found = hosts.activity_of_host(user=host.pk, days=[rows[0].date, rows[2].date])

    assert list(found.items()) == [(rows[2].date, rows[2]), (rows[0].date, rows[0])]


def test_the_awards_of_a_host_are_latest_first(host, django_assert_num_queries):
    login, audio = RewardRuleFactory(), RewardRuleFactory(rule_type="DAILY_AUDIO_CALL_TARGET")
    run = AwardRunFactory()
    first, second, third, _ = [
        ScoreHistoryFactory(
            user=host, rule=rule, run=run, reference_date=A_MONDAY + offset * ONE_DAY
        )
        for rule, offset in [(login, 0), (audio, 0), (login, 1), (login, 2)]
    ]
    ScoreHistoryFactory(rule=login, run=run)

    # awards, with rule version and run
    with django_assert_num_queries(1):
        found = hosts.awards_of_host(user=host.pk, reference_dates=[A_MONDAY, third.reference_date])
        assert [(award.rule, award.run) for award in found] == [
            (login, run),
            (audio, run),
            (login, run),
        ]

    assert found == [third, second, first]


def test_the_awarded_rules_of_a_host(host):
    run, login = AwardRunFactory(), RewardRuleFactory()
    for user, offset in [(host, 0), (host, 1), (host, 2), (HostFactory(), 3)]:
        day = A_MONDAY + offset * ONE_DAY
        ScoreHistoryFactory(user=user, rule=login, run=run, reference_date=day)

    def awarded(*offsets):
        days = [A_MONDAY + offset * ONE_DAY for offset in offsets]
        return hosts.awarded_rules(user=host.pk, reference_dates=days)

    assert awarded(0, 2) == {
        ("DAILY_LOGIN", A_MONDAY),
        ("DAILY_LOGIN", A_MONDAY + 2 * ONE_DAY),
    }
    assert awarded(3) == set()


def test_an_award_that_was_undone_does_not_count_as_awarded(host):
    award = ScoreHistoryFactory(user=host)
    ScoreHistory.objects.create(user=host, rule_type=ADJUSTMENT, reference_date=A_MONDAY, points=5)

    def awarded():
        return hosts.awarded_rules(user=host.pk, reference_dates=[A_MONDAY])

    assert awarded() == {("DAILY_LOGIN", A_MONDAY)}
    undo = AwardRunFactory(kind=RunKind.UNDO)
    ScoreHistoryFactory(user=host, rule=award.rule, run=undo, entry=1, points=-award.points)
    assert awarded() == set()
    ScoreHistoryFactory(user=host, rule=RewardRuleFactory(starts_on=A_MONDAY), entry=2)
    assert awarded() == {("DAILY_LOGIN", A_MONDAY)}


@pytest.mark.parametrize(
    ("days_ago", "streak"),
    [
        ([], 0),
        ([0], 1),
        ([1], 1),
        ([2, 3], 0),
        ([0, 1, 2, 4], 3),
        ([1, 2, 3], 3),
        ([0, 2, 3], 1),
        ([-1, 0], 1),  # tomorrow's activity, of a clock that is ahead
        (range(366), 366),
        (range(1, 400), 366),
    ],
)
def test_a_streak_is_active_days_in_a_row(host, days_ago, streak):
    other = HostFactory()
    for user, days in [(host, days_ago), (other, range(10))]:
        DailyActivity.objects.bulk_create(
            DailyActivity(user=user, date=A_MONDAY - n * ONE_DAY, logins=1) for n in days
        )

    assert hosts.streak_of_host(user=host.pk, today=A_MONDAY) == streak


def store(user, *events):
    """Store events (seconds after noon, duration); return them."""
    return [
        ActivityEventFactory(
            user=user,
            kind=ActivityKind.AUDIO_CALL,
            occurred_at=NOON + timedelta(seconds=seconds),
            duration_seconds=duration,
        )
        for seconds, duration in events
    ]


def seconds(*numbers):
    return tuple(NOON + timedelta(seconds=number) for number in numbers)


def test_events_within_windows_are_in_order(host):
    late, start, end, first, last = store(host, (9, 1), (2, 1), (4, 1), (0, 1), (3, 1))
    same_time = store(host, (2, 1))
    store(HostFactory(), (0, 1))
    windows = [seconds(2, 4), seconds(0, 1)]
    days = [A_MONDAY]

    def found(limit=9):
        return hosts.events_in(user=host.pk, days=days, windows=windows, limit=limit)

    assert found() == [first, start, *same_time, last]
    assert found(limit=2) == [first, start]
    assert end.occurred_at < late.occurred_at
    assert hosts.events_in(user=host.pk, days=[A_MONDAY + ONE_DAY], windows=windows, limit=9) == []


def test_short_calls_are_too_short_to_count(host):
    second, first, _, third = store(host, (2, 4), (1, 0), (3, 5), (4, 4))
    ActivityEventFactory(user=host, occurred_at=NOON)  # a login lasts no time
    store(HostFactory(), (1, 0))

    def found(limit=9, days=(A_MONDAY,)):
        return hosts.short_calls(user=host.pk, days=days, min_seconds=5, limit=limit)

    assert found() == [first, second, third]
    assert found(limit=1) == [first]
    assert found(days=[A_MONDAY + ONE_DAY]) == []


def test_late_events_are_the_last_received(host):
    events = store(host, (0, 1), (1, 1), (2, 1), (3, 1))
    other = store(HostFactory(), (0, 1))
    for event, received in zip([*events, *other], (9, 5, 5, 4, 9), strict=True):
        ActivityEvent.objects.filter(pk=event.pk).update(received_at=seconds(received)[0])

    def found(limit=9, days=(A_MONDAY,)):
        return hosts.late_events(user=host.pk, days=days, since=seconds(5)[0], limit=limit)

    assert found() == [events[0], events[2], events[1]]
    assert found(limit=1) == [events[0]]
    assert found(days=[A_MONDAY + ONE_DAY]) == []


def test_the_last_run_of_each_period():
    day, week = Period(Cadence.DAILY, A_MONDAY), Period(Cadence.WEEKLY, A_MONDAY)
    AwardRunFactory(attempt=2, cadence=Cadence.DAILY)
    last = AwardRunFactory(attempt=3, cadence=Cadence.DAILY)
    AwardRunFactory(attempt=1, cadence=Cadence.DAILY)
    weekly = AwardRunFactory(attempt=1, cadence=Cadence.WEEKLY)
    AwardRunFactory(attempt=9, reference_date=A_MONDAY + ONE_DAY)

    assert hosts.last_runs(periods=[day, week]) == {Cadence.DAILY: last, Cadence.WEEKLY: weekly}
    assert hosts.last_runs(periods=[day]) == {Cadence.DAILY: last}


def test_the_failed_batch_of_a_host():
    run, other = AwardRunFactory(), AwardRunFactory()
    before, own, after, done = [
        run.batches.create(
            after_user=first,
            through_user=last,
            status=status,
            finished_at=run.finished_at,
        )
        for first, last, status in [
            (0, 5, BatchStatus.FAILED),
            (5, 9, BatchStatus.FAILED),
            (9, 20, BatchStatus.FAILED),
            (20, 30, BatchStatus.DONE),
        ]
    ]

    def failed(user, *runs):
        return hosts.failed_batches(user=user, runs=runs)

    assert failed(5, run) == {run.pk: before}
    assert failed(6, run, other) == failed(9, run) == {run.pk: own}
    assert failed(10, run) == {run.pk: after}
    assert failed(done.through_user, run) == failed(6, other) == {}
