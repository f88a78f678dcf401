"""The hosts with the most points: from the ledger, the scores and the run journal."""

from datetime import UTC, datetime, timedelta

import pytest

from rewards.choices import RuleType, RunStatus
from rewards.selectors.leaders import (
    LeaderKey,
    awarded_hosts,
    leaders,
    leaders_of_week,
    points_of_hosts,
    ranking_page,
    recorded_leaders,
)
from rewards.selectors.visible_hosts import ALL_HOSTS
from tests.factories import (
    A_MONDAY,
    AwardRunFactory,
    HostFactory,
    RewardRuleFactory,
    ScoreFactory,
    ScoreHistoryFactory,
)

pytestmark = pytest.mark.django_db

ONE_DAY = timedelta(days=1)
SUNDAY = A_MONDAY + 6 * ONE_DAY


@pytest.fixture
def hosts():
    """Hosts with 10, 30, 20 and 20 points of the week, on its first and last day."""
    first, second, third, fourth = (HostFactory() for _ in range(4))
    login = RewardRuleFactory()
    audio = RewardRuleFactory(rule_type=RuleType.DAILY_AUDIO_CALL_TARGET)
    run = AwardRunFactory()
    for host, day, points in [
        (first, A_MONDAY, 10),
        (first, A_MONDAY - ONE_DAY, 99),
        (first, SUNDAY + ONE_DAY, 99),
        (second, A_MONDAY, 15),
        (second, SUNDAY, 15),
        (third, A_MONDAY, 20),
        (fourth, SUNDAY, 20),
    ]:
        rule = audio if host == third else login
        ScoreHistoryFactory(user=host, reference_date=day, points=points, rule=rule, run=run)
    return [first, second, third, fourth]


WEEK = {"first": A_MONDAY, "last": SUNDAY}


def test_leaders_are_in_order_of_points_and_then_of_id(hosts):
    first, second, third, fourth = (host.pk for host in hosts)

    assert leaders(**WEEK, limit=9) == [(second, 30), (third, 20), (fourth, 20), (first, 10)]
    assert leaders(**WEEK, limit=2) == [(second, 30), (third, 20)]


def test_points_of_all_hosts_are_in_the_order_of_leaders(hosts):
    assert list(points_of_hosts(**WEEK)) == [
        (hosts[number].pk, hosts[number].external_id, points)
        for number, points in [(1, 30), (2, 20), (3, 20), (0, 10)]
    ]


def test_each_awarded_host_is_listed_once(hosts):
    assert sorted(awarded_hosts(**WEEK)) == [host.pk for host in hosts]
    assert list(awarded_hosts(first=SUNDAY + ONE_DAY, last=SUNDAY + ONE_DAY)) == [hosts[0].pk]


def test_leaders_of_a_week_come_from_its_scores():
    for weekly in (5, 9, 7, 9):
        ScoreFactory(weekly=weekly)
    ScoreFactory(weekly=0)
    ScoreFactory(daily_date=A_MONDAY - ONE_DAY, weekly=8)
    AwardRunFactory(reference_date=SUNDAY)

    found = leaders_of_week(monday=A_MONDAY, limit=3)

    assert [points for _, points in found] == [9, 9, 7]
    assert found[0] < found[1]
    assert len(leaders_of_week(monday=A_MONDAY, limit=9)) == 4


def test_leaders_of_a_past_week_come_from_the_ledger(hosts):
    """Scores of hosts with later awards are of a later week."""
    ScoreFactory(weekly=10)
    AwardRunFactory(reference_date=SUNDAY + ONE_DAY)

    assert leaders_of_week(monday=A_MONDAY, limit=2) == [(hosts[1].pk, 30), (hosts[2].pk, 20)]


def test_leaders_of_a_week_without_scores_come_from_the_ledger(hosts):
    assert leaders_of_week(monday=A_MONDAY, limit=1) == [(hosts[1].pk, 30)]


def test_recorded_leaders_are_those_of_the_last_finished_run():
    """Of equal ends, the run with the greater id."""
    finished = datetime(2026, 11, 23, tzinfo=UTC)
    for day, leader, kwargs in [
        (SUNDAY, 1, {"finished_at": finished - ONE_DAY}),
        (A_MONDAY, 2, {"finished_at": finished}),
        (A_MONDAY + ONE_DAY, 3, {"finished_at": finished}),
        (SUNDAY, 4, {"finished_at": None, "status": RunStatus.RUNNING}),
        (SUNDAY + ONE_DAY, 5, {"finished_at": finished + ONE_DAY}),
        (A_MONDAY - ONE_DAY, 6, {"finished_at": finished + ONE_DAY}),
    ]:
        AwardRunFactory(reference_date=day, leaders=[[leader, 10]], **kwargs)

    assert recorded_leaders(monday=A_MONDAY, visible=ALL_HOSTS).leaders == [(3, 10)]


@pytest.mark.parametrize("day", [A_MONDAY, SUNDAY])
def test_recorded_leaders_of_the_first_and_last_day(day):
    AwardRunFactory(reference_date=day, leaders=[[1, 10]])

    assert recorded_leaders(monday=A_MONDAY, visible=ALL_HOSTS).leaders == [(1, 10)]


def test_a_week_without_runs_has_no_recorded_leaders():
    assert recorded_leaders(monday=A_MONDAY, visible=ALL_HOSTS).leaders == []


def test_recorded_leaders_say_when_they_were_recorded():
    finished = datetime(2026, 11, 23, tzinfo=UTC)
    AwardRunFactory(leaders=[[1, 10]], finished_at=finished)
    AwardRunFactory(leaders=[[2, 10]], finished_at=finished - ONE_DAY)

    assert recorded_leaders(monday=A_MONDAY, visible=ALL_HOSTS) == ([(1, 10)], finished)
    assert recorded_leaders(monday=SUNDAY + ONE_DAY, visible=ALL_HOSTS) == ([], None)


def test_a_page_of_a_ranking_begins_after_a_place(hosts):
    ordered = [
        (LeaderKey(points, hosts[number].pk, rank), hosts[number].external_id)
        for rank, (number, points) in enumerate([(1, 30), (2, 20), (3, 20), (0, 10)], start=1)
    ]

    def page(after=None, limit=9):
        return ranking_page(monday=A_MONDAY, after=after, limit=limit, visible=ALL_HOSTS)

    assert page().rows == ordered
    assert page().next is None
    assert page(limit=4).next is None
    for number, (place, _) in enumerate(ordered[:-1], start=1):
        assert page(limit=number).rows == ordered[:number]
        assert page(limit=number).next == place
        assert page(place).rows == ordered[number:]
    assert page(ordered[-1][0]).rows == []
