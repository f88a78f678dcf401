"""Where a host stands today."""

from datetime import UTC, datetime, timedelta

import pytest

from rewards.choices import RuleType, RunTrigger
from rewards.engine.business_days import ONE_DAY
from rewards.exceptions import UnknownHost
from rewards.reports.progress import RuleProgress, progress
from rewards.selectors.visible_hosts import ALL_HOSTS
from tests.awards import award_daily
from tests.factories import (
    A_MONDAY,
    DailyActivityFactory,
    HostFactory,
    RewardRuleFactory,
    ScoreFactory,
    ScoreHistoryFactory,
)

pytestmark = pytest.mark.django_db

WEDNESDAY = A_MONDAY + 2 * ONE_DAY
NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)

LOGIN = RuleType.DAILY_LOGIN
WEEKLY = RuleType.WEEKLY_CONSISTENCY


@pytest.fixture
def host():
    return HostFactory(external_id="ana")


def now_of(host, now=NOW):
    return progress(external_id=host.external_id, now=now, visible=ALL_HOSTS)


def test_a_host_without_anything_has_zeros(host):
    assert now_of(host).to_dict() == {
        "user_id": "ana",
        "left_on": None,
        "date": "2026-11-18",
        "scores": {
            "lifetime": {"points": 0},
            "weekly": {"week": "2026-11-16", "points": 0},
            "daily": {"date": "2026-11-18", "points": 0},
        },
        "rules": [],
        "active_days": [],
        "streak": 0,
    }


@pytest.mark.parametrize(
    ("daily_date", "weekly", "daily"),
    [
        (WEDNESDAY, 30, 10),
        (WEDNESDAY - ONE_DAY, 30, 0),  # yesterday's points are not today's
        (A_MONDAY, 30, 0),
        (A_MONDAY - ONE_DAY, 0, 0),  # nor are last week's this week's
    ],
)
def test_a_score_of_a_period_that_is_over_reads_0(host, daily_date, weekly, daily):
    ScoreFactory(user=host, lifetime=99, weekly=30, daily=10, daily_date=daily_date)

    found = now_of(host)

    assert (found.lifetime, found.weekly, found.daily) == (99, weekly, daily)


def test_the_scores_are_those_of_the_ledger(host):
    RewardRuleFactory(points=10)
    for day in (A_MONDAY - ONE_DAY, A_MONDAY, WEDNESDAY - ONE_DAY):
        DailyActivityFactory(user=host, date=day)
        award_daily(day=day, now=NOW, trigger=RunTrigger.COMMAND)

    found = now_of(host)

    assert (found.lifetime, found.weekly, found.daily) == (30, 20, 0)


def test_a_rule_shows_what_was_done_of_it(host):
    rule = RewardRuleFactory(threshold=3, points=10)
    RewardRuleFactory(rule_type=WEEKLY, threshold=5, points=100)
    RewardRuleFactory(rule_type=RuleType.DAILY_VIDEO_CALL_TARGET, is_active=False)
    for offset, logins in [(-1, 9), (0, 9), (1, 9), (2, 2)]:
        DailyActivityFactory(user=host, date=A_MONDAY + offset * ONE_DAY, logins=logins)
    ScoreHistoryFactory(user=host, rule=rule, reference_date=A_MONDAY)

    found = now_of(host)

    assert found.rules == (
        RuleProgress(
            rule_type=LOGIN,
            reference_date=WEDNESDAY,
            measured=2,
            threshold=3,
            points=10,
            is_awarded=False,
        ),
        RuleProgress(
            rule_type=WEEKLY,
            reference_date=A_MONDAY,
            measured=3,
            threshold=5,
            points=100,
            is_awarded=False,
        ),
    )
    assert found.active_days == (A_MONDAY, A_MONDAY + ONE_DAY, WEDNESDAY)
    assert found.streak == 4


def test_a_rule_that_has_paid_is_awarded(host):
    for rule_type, day in [(LOGIN, WEDNESDAY), (WEEKLY, A_MONDAY)]:
        rule = RewardRuleFactory(rule_type=rule_type)
        ScoreHistoryFactory(user=host, rule=rule, reference_date=day)

    assert [rule.is_awarded for rule in now_of(host).rules] == [True, True]


def test_a_week_is_measured_by_the_version_of_its_sunday(host):
    RewardRuleFactory(rule_type=WEEKLY, threshold=5)
    RewardRuleFactory(rule_type=WEEKLY, threshold=6, starts_on=A_MONDAY + 6 * ONE_DAY)
    RewardRuleFactory(rule_type=WEEKLY, threshold=7, starts_on=A_MONDAY + 7 * ONE_DAY)

    assert [rule.threshold for rule in now_of(host).rules] == [6]


@pytest.mark.parametrize(
    ("left_on", "rules"),
    [
        (A_MONDAY + ONE_DAY, []),
        (WEDNESDAY, [LOGIN]),  # the week needs its Sunday
        (A_MONDAY + 6 * ONE_DAY, [LOGIN, WEEKLY]),
    ],
)
def test_a_host_that_leaves_sees_what_it_can_still_earn(left_on, rules):
    RewardRuleFactory()
    RewardRuleFactory(rule_type=WEEKLY)
    host = HostFactory(left_on=left_on)

    found = now_of(host)

    assert [rule.rule_type for rule in found.rules] == rules
    assert found.to_dict()["left_on"] == str(left_on)


def test_a_day_begins_in_the_zone_of_the_business_days(host, settings):
    settings.REWARDS_TIME_ZONE = "America/Los_Angeles"
    ScoreFactory(user=host, daily=10, daily_date=WEDNESDAY)

    assert now_of(host, NOW + timedelta(hours=19)).daily == 10
    assert now_of(host, NOW + timedelta(hours=20)).daily == 0


def test_an_unknown_host():
    with pytest.raises(UnknownHost, match=r"^No host has the external id 'nobody'\.$"):
        progress(external_id="nobody", now=NOW, visible=ALL_HOSTS)


def test_progress_takes_five_queries(host, django_assert_num_queries):
    """Host with score; activity; awards; versions; streak."""
    RewardRuleFactory()
    DailyActivityFactory(user=host, date=WEDNESDAY)
    ScoreFactory(user=host)

    with django_assert_num_queries(5):
        now_of(host).to_dict()
