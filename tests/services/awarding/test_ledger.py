"""What is due to a range of hosts, and the rows that are written for it."""

from datetime import date, timedelta

import pytest

from rewards.choices import Cadence, RuleType, RunStatus
from rewards.engine.periods import Period
from rewards.models import Score, ScoreHistory
from rewards.selectors.activity import IdRange
from rewards.selectors.rules import to_rule
from rewards.services.awarding.ledger import Job, award_id_range, due_awards
from tests.factories import (
    A_MONDAY,
    AwardRunFactory,
    DailyActivityFactory,
    RewardRuleFactory,
    ScoreHistoryFactory,
)

pytestmark = pytest.mark.django_db

ALL_HOSTS = IdRange(0, 2**62)
DAILY = Period(Cadence.DAILY, A_MONDAY)


@pytest.fixture
def login():
    return RewardRuleFactory(points=10)


@pytest.fixture
def audio():
    return RewardRuleFactory(rule_type=RuleType.DAILY_AUDIO_CALL_TARGET, threshold=2, points=25)


def open_run():
    return AwardRunFactory(status=RunStatus.RUNNING, finished_at=None)


def job(*versions, period=DAILY):
    return Job(period, [to_rule(version) for version in versions])


def due(*versions, id_range=ALL_HOSTS, period=DAILY):
    awards, counts = due_awards(job(*versions, period=period), id_range)
    found = {
        user: [(award.rule.version, award.measured) for award in earned]
        for user, earned in awards.items()
    }
    return found, counts


def test_each_host_gets_what_it_has_earned(login, audio):
    only_login = DailyActivityFactory(logins=3)
    both = DailyActivityFactory(logins=1, audio_calls=2)
    neither = DailyActivityFactory(logins=0, audio_calls=1)

    awards, counts = due(login, audio)

    assert awards == {
        only_login.user_id: [(login.pk, 3)],
        both.user_id: [(login.pk, 1), (audio.pk, 2)],
    }
    assert neither.user_id not in awards
    assert (counts.hosts_evaluated, counts.hosts_rewarded) == (3, 2)
    assert (counts.awards, counts.points) == (3, 45)
    assert counts.by_rule == {
        "DAILY_LOGIN": {"awards": 2, "points": 20},
        "DAILY_AUDIO_CALL_TARGET": {"awards": 1, "points": 25},
    }


def test_awards_are_in_order_of_host(login):
    """Hosts are grouped by what they did, and still written in order."""
    users = [DailyActivityFactory(logins=1 + number % 2).user_id for number in range(6)]

    awards, _ = due(login)

    assert list(awards) == sorted(users)


def test_a_host_is_paid_beside_a_paid_one_with_the_same_facts(login):
    """Activity of one of them arrived late."""
    paid, late = DailyActivityFactory(), DailyActivityFactory()
    ScoreHistoryFactory(user=paid.user, rule=login)

    awards, counts = due(login)

    assert awards == {late.user_id: [(login.pk, 1)]}
    assert (counts.hosts_evaluated, counts.hosts_rewarded) == (2, 1)
    assert (counts.awards, counts.points) == (1, 10)


def test_nothing_is_due_when_all_are_paid(login):
    for _ in range(2):
        ScoreHistoryFactory(user=DailyActivityFactory().user, rule=login)

    awards, counts = due(login)

    assert (awards, counts.by_rule) == ({}, {})
    assert (counts.hosts_evaluated, counts.hosts_rewarded, counts.awards) == (2, 0, 0)


def test_an_award_of_one_rule_type_pays_no_other(login, audio):
    activity = DailyActivityFactory(audio_calls=2)
    ScoreHistoryFactory(user=activity.user, rule=login)

    awards, counts = due(login, audio)

    assert awards == {activity.user_id: [(audio.pk, 2)]}
    assert (counts.hosts_rewarded, counts.points) == (0, 25)  # it had an award before


def test_an_award_of_another_day_pays_nothing_here(login):
    activity = DailyActivityFactory()
    ScoreHistoryFactory(user=activity.user, rule=login, reference_date=A_MONDAY - timedelta(days=1))

    assert due(login)[0] == {activity.user_id: [(login.pk, 1)]}


def test_an_award_of_a_former_version_pays_the_same_type():
    """A rule type pays once for a date, whichever version did."""
    former = RewardRuleFactory(starts_on=date(2026, 1, 1))
    current = RewardRuleFactory(starts_on=date(2026, 2, 1))
    ScoreHistoryFactory(user=DailyActivityFactory().user, rule=former)

    assert due(current)[0] == {}


def test_only_hosts_of_the_range_are_evaluated(login):
    before, first, second, after = (DailyActivityFactory().user_id for _ in range(4))

    awards, counts = due(login, id_range=IdRange(before, second))

    assert list(awards) == [first, second]
    assert counts.hosts_evaluated == 2
    assert after > second


def test_a_week_is_evaluated_as_a_whole():
    weekly = RewardRuleFactory(rule_type=RuleType.WEEKLY_CONSISTENCY, threshold=2)
    first = DailyActivityFactory()
    for offset in (3, 7):
        DailyActivityFactory(user=first.user, date=A_MONDAY + timedelta(days=offset))

    awards, _ = due(weekly, period=Period(Cadence.WEEKLY, A_MONDAY))

    assert awards == {first.user_id: [(weekly.pk, 2)]}


def test_hosts_are_evaluated_without_rules():
    DailyActivityFactory()

    awards, counts = due()

    assert (awards, counts.hosts_evaluated, counts.hosts_rewarded) == ({}, 1, 0)


def test_ledger_and_scores_are_written_together(login, audio):
    run = open_run()
    first = DailyActivityFactory(logins=4, audio_calls=3)
    second = DailyActivityFactory(logins=4)

    counts = award_id_range(job(login, audio), run_id=run.pk, id_range=ALL_HOSTS)

    assert counts.awards == 3
    columns = ("user_id", "rule_type", "reference_date", "points", "rule_id", "measured")
    assert list(
        ScoreHistory.objects.order_by("pk").values_list(*columns, "threshold", "run_id")
    ) == [
        (first.user_id, "DAILY_LOGIN", A_MONDAY, 10, login.pk, 4, 1, run.pk),
        (first.user_id, "DAILY_AUDIO_CALL_TARGET", A_MONDAY, 25, audio.pk, 3, 2, run.pk),
        (second.user_id, "DAILY_LOGIN", A_MONDAY, 10, login.pk, 4, 1, run.pk),
    ]
    assert list(Score.objects.order_by("user").values_list("user_id", "lifetime")) == [
        (first.user_id, 35),
        (second.user_id, 10),
    ]


def test_rows_of_equal_rules_keep_their_own_count(login):
    """Rows that differ in the measured count are not taken for the same."""
    for logins in (1, 2, 1):
        DailyActivityFactory(logins=logins)

    award_id_range(job(login), run_id=open_run().pk, id_range=ALL_HOSTS)

    measured = ScoreHistory.objects.order_by("user").values_list("measured", flat=True)
    assert list(measured) == [1, 2, 1]


def test_nothing_is_written_when_nothing_is_due(login, django_assert_num_queries):
    # facts, awards
    with django_assert_num_queries(2):
        award_id_range(job(login), run_id=0, id_range=ALL_HOSTS)
