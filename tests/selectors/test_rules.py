"""Rule versions, and which of them are in force."""

from datetime import timedelta

import pytest

from rewards.choices import Cadence, RuleType
from rewards.engine.business_days import monday_of
from rewards.engine.periods import Period
from rewards.engine.values import Rule
from rewards.models import RewardRule
from rewards.selectors.rules import (
    active_versions,
    active_versions_of_all_days,
    latest_version,
    rules_of_versions,
    to_rule,
    version_token,
    versions_in_force,
    versions_of_periods,
)
from tests.factories import A_MONDAY, RewardRuleFactory

pytestmark = pytest.mark.django_db

ONE_DAY = timedelta(days=1)
SUNDAY = A_MONDAY + 6 * ONE_DAY
WEEK = Period(Cadence.WEEKLY, A_MONDAY)
LOGIN, AUDIO = RuleType.DAILY_LOGIN, RuleType.DAILY_AUDIO_CALL_TARGET
WEEKLY = RuleType.WEEKLY_CONSISTENCY


def version(rule_type=LOGIN, starts_on=A_MONDAY, **kwargs):
    return RewardRuleFactory(rule_type=rule_type, starts_on=starts_on, **kwargs)


@pytest.fixture
def versions():
    """Versions before, on and after A_MONDAY, stored in no order of time."""
    return {
        "next": version(starts_on=A_MONDAY + ONE_DAY, is_active=False),
        "former": version(starts_on=A_MONDAY - ONE_DAY),
        "current": version(starts_on=A_MONDAY),
        "audio": version(AUDIO, starts_on=A_MONDAY - 9 * ONE_DAY, is_active=False),
        "weekly": version(WEEKLY, starts_on=SUNDAY),
        "next weekly": version(WEEKLY, starts_on=SUNDAY + ONE_DAY),
    }


@pytest.mark.parametrize(
    ("offset", "names"),
    [
        (-10, []),
        (-9, ["audio"]),
        (-1, ["audio", "former"]),
        (0, ["audio", "current"]),
        (1, ["audio", "next"]),
        (6, ["audio", "next", "weekly"]),
        (7, ["audio", "next", "next weekly"]),
    ],
)
def test_the_versions_in_force_on_a_day(versions, offset, names):
    """The latest that has begun of each type, paused ones included."""
    found = versions_in_force(day=A_MONDAY + offset * ONE_DAY)

    assert found == {RuleType(versions[name].rule_type): versions[name] for name in names}


@pytest.mark.parametrize(
    ("offset", "names"),
    [
        (-10, []),
        (-9, ["audio"]),
        (0, ["audio", "current", "weekly"]),  # the week by its Sunday
        (1, ["audio", "next", "weekly"]),
        (7, ["audio", "next", "next weekly"]),
    ],
)
def test_the_versions_of_a_day_and_its_week(versions, offset, names, django_assert_num_queries):
    day = A_MONDAY + offset * ONE_DAY

    with django_assert_num_queries(1):
        found = versions_of_periods(
            day=Period(Cadence.DAILY, day), week=Period(Cadence.WEEKLY, monday_of(day))
        )

    assert found == {RuleType(versions[name].rule_type): versions[name] for name in names}


@pytest.mark.parametrize(
    ("cadence", "offset", "name"),
    [
        ("daily", -9, None),  # paused
        ("daily", -1, "former"),
        ("daily", 0, "current"),
        ("daily", 1, None),  # paused
        ("weekly", -7, None),
        ("weekly", 0, "weekly"),  # in force on its Sunday
        ("weekly", 7, "next weekly"),
    ],
)
def test_the_versions_that_pay_for_a_period(versions, cadence, offset, name):
    period = Period(Cadence(cadence), A_MONDAY + offset * ONE_DAY)
    expected = [versions[name]] if name else []

    assert active_versions(period=period) == expected
    of_all_days = active_versions_of_all_days()
    assert of_all_days(period.cadence, period.last_day) == {version.pk for version in expected}


def test_several_versions_pay_for_a_day(versions):
    other = version(AUDIO, starts_on=A_MONDAY)
    day = Period(Cadence.DAILY, A_MONDAY)

    assert set(active_versions(period=day)) == {other, versions["current"]}
    assert active_versions_of_all_days()(Cadence.DAILY, A_MONDAY) == {
        other.pk,
        versions["current"].pk,
    }


def test_all_days_take_one_query(versions, django_assert_num_queries):
    with django_assert_num_queries(1):
        in_force = active_versions_of_all_days()
        for offset in range(9):
            in_force(Cadence.DAILY, A_MONDAY + offset * ONE_DAY)


def test_a_version_as_a_rule():
    stored = version(AUDIO, threshold=7, points=25)

    assert to_rule(stored) == Rule(version=stored.pk, rule_type=AUDIO, threshold=7, points=25)


def test_rules_come_in_the_order_of_their_keys():
    first, second = version(), version(AUDIO)

    assert rules_of_versions([second.pk, first.pk]) == [to_rule(second), to_rule(first)]
    assert rules_of_versions([]) == []


def test_the_latest_version_may_not_have_begun(versions):
    assert latest_version(rule_type=LOGIN) == versions["next"]
    assert latest_version(rule_type=RuleType.DAILY_VIDEO_CALL_TARGET) is None


def test_a_version_token_is_empty_without_a_version():
    assert version_token(None) == ""
    stored = version()
    assert version_token(stored) == stored.version_token != ""


def test_pending_versions_begin_after_the_day(versions):
    assert set(RewardRule.objects.pending(A_MONDAY)) == {
        versions["next"],
        versions["weekly"],
        versions["next weekly"],
    }
