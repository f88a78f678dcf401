from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from psycopg import sql

from rewards.choices import RULE_TYPE_SPECS, RuleType, RunTrigger
from rewards.engine.evaluators import evaluate
from rewards.engine.values import Facts, Rule
from rewards.exceptions import QueryTimedOut, RuleRefused
from rewards.reports.preview import MAX_NAMED, preview_rule
from rewards.selectors import distribution
from tests.awards import award_daily, award_weekly
from tests.factories import A_MONDAY, DailyActivityFactory, HostFactory, RewardRuleFactory

pytestmark = pytest.mark.django_db

TODAY = date(2026, 11, 24)
NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
A_TUESDAY = date(2026, 11, 17)
"""The first of the seven closed days before TODAY."""

LOGIN = RuleType.DAILY_LOGIN
AUDIO = RuleType.DAILY_AUDIO_CALL_TARGET
WEEKLY = RuleType.WEEKLY_CONSISTENCY


def preview(rule_type=AUDIO, **kwargs):
    return preview_rule(
        rule_type=rule_type, **{"threshold": 4, "points": 40, "today": TODAY} | kwargs
    )


def active(audio_calls, day=A_TUESDAY, **kwargs):
    return DailyActivityFactory(date=day, audio_calls=audio_calls, **kwargs)


def test_each_measure_is_what_its_evaluator_counts():
    for rule_type, terms in RULE_TYPE_SPECS.items():
        rule = Rule(version=1, rule_type=rule_type, threshold=1, points=1)

        assert evaluate(rule, Facts(**{terms.measure: 3})).measured == 3


def test_a_change_is_held_against_the_rule_in_force_day_by_day():
    RewardRuleFactory(rule_type=AUDIO, threshold=5, points=50)
    for audio_calls in (3, 3, 4, 5, 9):
        active(audio_calls)

    change = preview()

    day = change.periods[0]
    assert (day.reference_date, day.hosts) == (A_TUESDAY, 5)
    assert (day.awards_now, day.points_now) == (2, 100)
    assert (day.awards_then, day.points_then) == (3, 120)
    assert (day.gained, day.lost, day.just_missed) == (1, 0, 2)
    assert [each.hosts for each in change.periods] == [5, 0, 0, 0, 0, 0, 0]
    assert change.total == day


def test_those_who_gain_and_lose_most_often_are_named():
    RewardRuleFactory(rule_type=AUDIO, threshold=3)
    often, once = HostFactory(external_id="often"), HostFactory(external_id="once")
    for day in (A_TUESDAY, A_TUESDAY + timedelta(days=1)):
        active(3, day, user=often)
    active(3, user=once)
    active(4)

    losing = preview(threshold=4).losing

    assert losing == (2, ((often.pk, "often", 2), (once.pk, "once", 1)))
    assert preview(threshold=2).gaining == (0, ())


def test_all_who_gain_are_counted_and_only_the_first_named():
    for _ in range(MAX_NAMED + 2):
        active(4)

    gaining = preview().gaining

    assert (gaining.hosts, len(gaining.most_often)) == (MAX_NAMED + 2, MAX_NAMED)


@pytest.mark.parametrize(
    ("days_ago", "days", "hosts"),
    [
        (0, 28, 0),  # today has not ended
        (1, 7, 1),
        (7, 7, 1),
        (8, 7, 0),
        (28, 28, 1),
        (29, 28, 0),
    ],
)
def test_a_preview_looks_at_the_days_that_have_ended(days_ago, days, hosts):
    active(4, TODAY - timedelta(days=days_ago))

    assert preview(days=days).total.hosts == hosts


@pytest.mark.parametrize(
    ("days", "mondays"),
    [
        (7, [A_MONDAY]),
        (28, [A_MONDAY - timedelta(days=offset) for offset in (21, 14, 7, 0)]),
    ],
)
def test_a_weekly_rule_is_evaluated_over_whole_weeks(days, mondays):
    host = HostFactory()
    for offset in range(4):
        active(0, A_MONDAY + timedelta(days=offset), user=host)
    active(0, A_MONDAY + timedelta(days=7), user=host)  # this week has not ended

    change = preview(WEEKLY, threshold=4, days=days)

    assert [each.reference_date for each in change.periods] == mondays
    assert (change.total.hosts, change.total.awards_then, change.total.gained) == (1, 1, 1)
    assert preview(WEEKLY, threshold=5, days=days).total.just_missed == 1


@pytest.mark.parametrize(
    ("in_force", "awards_now"),
    [
        ({"is_active": False}, 0),  # a paused rule pays nothing
        ({"starts_on": TODAY + timedelta(days=1)}, 0),  # nor does one to come
        ({"starts_on": TODAY}, 1),
    ],
)
def test_a_change_is_held_against_what_is_in_force_today(in_force, awards_now):
    RewardRuleFactory(rule_type=AUDIO, threshold=4, **in_force)
    active(4)

    assert preview().total.awards_now == awards_now


def test_a_pause_takes_all_and_nobody_just_misses_it():
    RewardRuleFactory(rule_type=AUDIO, threshold=3, points=50)
    active(3)

    total = preview(is_active=False).total

    assert (total.awards_now, total.awards_then, total.lost) == (1, 0, 1)
    assert (total.points_now, total.points_then, total.just_missed) == (50, 0, 0)


@pytest.mark.parametrize(
    "host", [{"left_on": A_MONDAY}, {"is_host": False}], ids=["left", "no host"]
)
def test_who_did_not_earn_then_does_not_count(host):
    active(4, user=HostFactory(**host))
    for offset in range(4):
        active(0, A_MONDAY - timedelta(days=3 - offset), user=HostFactory(**host))

    assert preview().total.hosts == 0
    assert preview(WEEKLY).total.hosts == 0


@pytest.mark.parametrize(
    ("rule_type", "threshold"), [(LOGIN, 2), (AUDIO, 4), (RuleType.DAILY_VIDEO_CALL_TARGET, 3)]
)
def test_a_preview_of_the_rule_in_force_is_what_a_run_pays(rule_type, threshold):
    RewardRuleFactory(rule_type=rule_type, threshold=threshold, points=7)
    for n in range(12):
        left_on = A_MONDAY if n % 5 == 0 else None
        active(n, user=HostFactory(left_on=left_on), logins=1 + n % 4, video_calls=n % 6)

    day = preview(rule_type, threshold=threshold, points=7).periods[0]
    run = award_daily(day=A_TUESDAY, now=NOW, trigger=RunTrigger.COMMAND).counts

    assert run.awards
    assert (day.hosts, day.awards_then, day.points_then) == (run.hosts, run.awards, run.points)
    assert (day.awards_now, day.points_now) == (run.awards, run.points)


def test_a_preview_of_the_weekly_rule_in_force_is_what_a_run_pays():
    RewardRuleFactory(rule_type=WEEKLY, threshold=3, points=7)
    sunday = A_MONDAY + timedelta(days=6)
    for days_active in range(1, 8):
        for left_on in (None, sunday, sunday - timedelta(days=1)):
            host = HostFactory(left_on=left_on)
            for offset in range(days_active):
                active(0, A_MONDAY + timedelta(days=offset), user=host)

    week = preview(WEEKLY, threshold=3, points=7).total
    run = award_weekly(monday=A_MONDAY, now=NOW, trigger=RunTrigger.COMMAND).counts

    assert (run.hosts, run.awards) == (14, 10)
    assert (week.hosts, week.awards_then, week.points_then) == (14, 10, run.points)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"threshold": 0}, "threshold 0 is outside 1-10000 completed audio calls a day"),
        ({"threshold": 10_001}, "threshold 10001 is outside"),
        ({"points": 0}, "0 points are outside 1-1000000"),
        ({"points": 1_000_001}, "1000001 points are outside"),
    ],
)
def test_terms_outside_their_limits_are_refused(terms, message):
    with pytest.raises(RuleRefused, match=message):
        preview(**terms)


@pytest.mark.parametrize("rule_type", [AUDIO, WEEKLY])
def test_a_preview_takes_the_same_queries_for_any_number_of_hosts(rule_type):
    RewardRuleFactory(rule_type=rule_type, threshold=1)
    counts = []
    for hosts in (1, 50):
        for _ in range(hosts):
            active(1, A_MONDAY + timedelta(days=1))

        with CaptureQueriesContext(connection) as queries:
            preview(rule_type, threshold=2)

        counts.append(len(queries))

    # The versions in force, the counts of the days, those who lose: each of the last two in a
    # transaction that sets its bounds and lifts them again.
    assert counts == [11, 11]


@pytest.fixture
def _slow_query(monkeypatch):
    slow = sql.SQL("WITH gone AS MATERIALIZED (SELECT id, left_on FROM rewards_user, pg_sleep(5))")
    monkeypatch.setattr(distribution, "_GONE", slow)
    monkeypatch.setattr(distribution, "PREVIEW_TIMEOUT_MS", 50)


@pytest.mark.usefixtures("_slow_query")
def test_a_preview_that_takes_too_long_is_given_up_in_one_sentence():
    active(4)

    with pytest.raises(QueryTimedOut, match="look back over fewer days"):
        preview()

    assert HostFactory()  # the transaction around it can go on
