from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from psycopg import sql

from rewards.choices import RULE_TYPE_SPECS, RuleType, RunTrigger
from rewards.engine.evaluators import evaluate
from rewards.engine.values import Facts, Rule
from rewards.exceptions import QueryTimedOut, RuleRefused
from rewards.reports.preview import MAX_NAMED, PreviewCounts, preview_rule
from rewards.selectors import distribution
from rewards.selectors.eligibility import LAST_ELIGIBLE_DAYS
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


@pytest.mark.parametrize("rule_type", RuleType)
def test_a_metric_is_what_its_evaluator_measures(rule_type):
    rule = Rule(version=1, rule_type=rule_type, threshold=1, points=1)
    metric = RULE_TYPE_SPECS[rule_type].metric

    assert evaluate(rule, Facts(**{metric: 3})).measured == 3


def test_a_change_is_compared_day_by_day():
    RewardRuleFactory(rule_type=AUDIO, threshold=5, points=50)
    for audio_calls in (3, 3, 4, 5, 9):
        active(audio_calls)

    change = preview()

    first, *others = change.periods.items()
    counts = PreviewCounts(
        hosts=5,
        awards_now=2,
        points_now=100,
        awards_then=3,
        points_then=120,
        gained=1,
        lost=0,
        just_missed=2,
    )
    assert first == (A_TUESDAY, counts)
    assert others == [(A_TUESDAY + timedelta(days=n), PreviewCounts()) for n in range(1, 7)]
    assert change.total == counts


def test_hosts_that_lose_most_often_are_named_first():
    RewardRuleFactory(rule_type=AUDIO, threshold=3)
    often, once = HostFactory(external_id="often"), HostFactory(external_id="once")
    for day in (A_TUESDAY, A_TUESDAY + timedelta(days=1)):
        active(3, day, user=often)
    active(3, user=once)
    active(4)

    losing = preview(threshold=4).losing

    assert losing == (2, ((often.pk, "often", 2), (once.pk, "once", 1)))
    assert preview(threshold=2).gaining == (0, ())


def test_all_gaining_hosts_are_counted_and_few_named():
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
def test_only_days_that_have_ended_are_previewed(days_ago, days, hosts):
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

    assert list(change.periods) == mondays
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
def test_a_change_is_compared_with_the_rule_of_today(in_force, awards_now):
    RewardRuleFactory(rule_type=AUDIO, threshold=4, **in_force)
    active(4)

    assert preview().total.awards_now == awards_now


def test_a_pause_takes_every_award():
    RewardRuleFactory(rule_type=AUDIO, threshold=3, points=50)
    active(3)

    total = preview(is_active=False).total

    assert (total.awards_now, total.awards_then, total.lost) == (1, 0, 1)
    assert (total.points_now, total.points_then, total.just_missed) == (50, 0, 0)


@pytest.mark.parametrize(
    "host", [{"left_on": A_MONDAY}, {"is_host": False}], ids=["left", "no host"]
)
def test_ineligible_hosts_are_not_counted(host):
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

    day = preview(rule_type, threshold=threshold, points=7).periods[A_TUESDAY]
    run = award_daily(day=A_TUESDAY, now=NOW, trigger=RunTrigger.COMMAND).counts

    assert run.awards
    assert (day.hosts, day.awards_then) == (run.hosts_evaluated, run.awards)
    assert (day.points_then, day.points_now) == (run.points, run.points)
    assert day.awards_now == run.awards


def test_a_weekly_preview_is_what_a_run_pays():
    RewardRuleFactory(rule_type=WEEKLY, threshold=3, points=7)
    sunday = A_MONDAY + timedelta(days=6)
    for days_active in range(1, 8):
        for left_on in (None, sunday, sunday - timedelta(days=1)):
            host = HostFactory(left_on=left_on)
            for offset in range(days_active):
                active(0, A_MONDAY + timedelta(days=offset), user=host)

    week = preview(WEEKLY, threshold=3, points=7).total
    run = award_weekly(monday=A_MONDAY, now=NOW, trigger=RunTrigger.COMMAND).counts

    assert (run.hosts_evaluated, run.awards) == (14, 10)
    assert (week.hosts, week.awards_then, week.points_then) == (14, 10, run.points)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"threshold": 0}, "The threshold 0 is outside 1-10,000 completed audio calls a day."),
        ({"threshold": 10_001}, "The threshold 10,001 is outside 1-10,000 "),
        ({"points": 0}, "A rule pays 1 to 1,000,000 points, not 0."),
        ({"points": 1_000_001}, "A rule pays 1 to 1,000,000 points, not 1,000,001."),
    ],
)
def test_numbers_outside_their_limits_are_refused(numbers, message):
    with pytest.raises(RuleRefused, match=message):
        preview(**numbers)


@pytest.mark.parametrize("threshold", [1, 10_000])
def test_thresholds_at_their_limits_are_accepted(threshold):
    assert preview(threshold=threshold).proposed.threshold == threshold


@pytest.mark.parametrize("rule_type", [AUDIO, WEEKLY])
def test_a_preview_takes_the_same_queries_for_any_hosts(rule_type):
    RewardRuleFactory(rule_type=rule_type, threshold=1)
    counts = []
    for hosts in (1, 50):
        for _ in range(hosts):
            active(1, A_MONDAY + timedelta(days=1))

        with CaptureQueriesContext(connection) as queries:
            preview(rule_type, threshold=2)

        counts.append(len(queries))

    # The versions in force; then the distribution, and the hosts that lose, with six around each:
    # a savepoint, two limits set, two limits lifted, and the release of the savepoint.
    assert counts == [15, 15]


@pytest.fixture
def _slow_query(monkeypatch):
    slow = sql.SQL(
        "WITH ending AS MATERIALIZED (SELECT user_id, last_eligible_day FROM pg_sleep(5), {})"
    )
    monkeypatch.setattr(
        distribution, "_WITH_ENDING", slow.format(sql.SQL(f"{LAST_ELIGIBLE_DAYS} AS ineligible"))
    )
    monkeypatch.setattr(distribution, "PREVIEW_TIMEOUT_MS", 50)


@pytest.mark.usefixtures("_slow_query")
def test_a_preview_has_a_time_limit():
    active(4)

    with pytest.raises(QueryTimedOut, match="ask for fewer days"):
        preview()

    assert HostFactory()  # the transaction around it can go on


def test_a_preview_as_json():
    RewardRuleFactory(rule_type=AUDIO, threshold=5, points=50)
    active(4, user=HostFactory(external_id="alice"))

    answer = preview().to_dict()

    total = {
        "hosts": 1,
        "awards_now": 0,
        "awards_then": 1,
        "points_now": 0,
        "points_then": 40,
        "gained": 1,
        "lost": 0,
        "just_missed": 0,
    }
    periods = answer.pop("periods")
    assert (len(periods), periods[0]) == (7, {"reference_date": "2026-11-17"} | total)
    assert answer == {
        "rule_type": "DAILY_AUDIO_CALL_TARGET",
        "from": "2026-11-17",
        "to": "2026-11-23",
        "in_force": {"threshold": 5, "points": 50},
        "proposed": {"threshold": 4, "points": 40},
        "total": total,
        "gaining": {"hosts": 1, "most_often": {"alice": 1}},
        "losing": {"hosts": 0, "most_often": {}},
    }
    assert preview(is_active=False).to_dict()["proposed"] is None
