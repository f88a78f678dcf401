"""A finished live run, or an undo, is no award run: the day is as due as without it."""

from datetime import timedelta

import pytest

from rewards.choices import Cadence, RuleType, RunKind, RunStatus
from rewards.engine.periods import Period, PeriodState
from rewards.exceptions import InvalidStartDate
from rewards.models import AwardRun, RewardRule
from rewards.reports.verify.verification import verify_ledger
from rewards.selectors.hosts import last_runs
from rewards.selectors.leaders import recorded_leaders
from rewards.selectors.periods import period_statuses
from rewards.selectors.runs import latest_evaluated_day, run_totals
from rewards.selectors.totals import totals_by_day
from rewards.selectors.visible_hosts import ALL_HOSTS
from rewards.services.rules import set_rule
from tests import awards
from tests.factories import A_MONDAY, AwardRunFactory, DailyActivityFactory, RewardRuleFactory
from tests.reports.awarded_week import NOW, TODAY, create_awarded_week

pytestmark = pytest.mark.django_db

MONDAY = Period(Cadence.DAILY, A_MONDAY)
LIVE = {"kind": RunKind.LIVE, "attempt": 0}
UNDO = {"kind": RunKind.UNDO, "attempt": 9}


def state_of_monday():
    return next(status.state for status in period_statuses(now=NOW) if status.period == MONDAY)


@pytest.fixture(params=[LIVE, UNDO], ids=["live", "undo"])
def other_run(request):
    """A finished run of the Monday that has seen everything."""
    return AwardRunFactory(**request.param, events_seen=100, leaders=[[1, 999]])


@pytest.fixture
def activity():
    """A login of a host on the Monday, and the rule that rewards it."""
    RewardRuleFactory()
    return DailyActivityFactory()


@pytest.mark.usefixtures("other_run", "activity")
def test_the_day_is_still_missing():
    assert state_of_monday() == PeriodState.MISSING


@pytest.mark.usefixtures("other_run", "activity")
def test_the_day_is_still_late(settings):
    settings.REWARDS_GRACE_DAYS = 9
    AwardRunFactory(events_seen=0, attempt=3, rule_versions=[RewardRule.objects.get().pk])

    assert state_of_monday() == PeriodState.LATE


@pytest.mark.usefixtures("other_run", "activity")
def test_the_run_of_the_day_opens_and_pays():
    report = awards.award_daily(day=A_MONDAY)

    assert (report.status, report.counts.awards) == (RunStatus.DONE, 1)
    assert report.attempt == AwardRun.objects.exclude(kind=RunKind.AWARD).get().attempt + 1


@pytest.mark.usefixtures("activity")
def test_no_page_takes_it_for_the_run_of_the_day(other_run):
    assert latest_evaluated_day() is None
    assert run_totals(first=A_MONDAY, last=A_MONDAY) == {}
    assert last_runs(periods=[MONDAY]) == {}
    recorded = recorded_leaders(monday=A_MONDAY, visible=ALL_HOSTS).leaders
    assert recorded == ([(1, 999)] if other_run.kind == RunKind.LIVE else [])


def test_its_awards_count_in_the_totals(other_run):
    AwardRunFactory(attempt=3, awards=2, points=20, hosts_evaluated=5, events_seen=1)
    sign = -1 if other_run.kind == RunKind.UNDO else 1
    AwardRun.objects.filter(pk=other_run.pk).update(
        awards=sign, points=sign * 10, by_rule={"DAILY_LOGIN": {"awards": sign, "points": sign}}
    )

    (total,) = run_totals(first=A_MONDAY, last=A_MONDAY).values()
    (of_day,) = totals_by_day(first=A_MONDAY, last=A_MONDAY)

    assert (total.attempts, total.hosts) == (1, 5)
    assert (total.awards, total.points) == (2 + sign, 20 + sign * 10)
    assert (of_day.awards, of_day.points) == (sign, sign)


def test_verification_misses_the_award_run(other_run):
    create_awarded_week()
    assert not verify_ledger(today=TODAY).broken

    AwardRun.objects.filter(kind=RunKind.AWARD, reference_date=A_MONDAY + timedelta(days=1)).update(
        kind=RunKind.UNDO
    )

    assert "I12" in verify_ledger(today=TODAY).broken


@pytest.mark.parametrize(
    "run",
    [
        {"status": RunStatus.RUNNING},
        {"status": RunStatus.HELD},
        {"status": RunStatus.LIVE, **LIVE},
        {"status": RunStatus.HELD, **LIVE},
    ],
    ids=lambda run: f"{run.get('kind', 'award')} {run['status']}",
)
def test_a_rule_cannot_change_below_an_open_run(run):
    version = RewardRuleFactory(points=9)
    AwardRunFactory(finished_at=None, rule_versions=[version.pk], **run)

    with pytest.raises(InvalidStartDate, match="is in progress with the rules it began with"):
        set_rule(
            rule_type=RuleType.DAILY_LOGIN,
            threshold=1,
            points=10,
            starts_on=A_MONDAY,
            is_active=True,
            today=A_MONDAY,
        )
