"""The first week of the ledger begins before its first day, a Saturday."""

from datetime import date

import pytest

from rewards.admin.ledger.leaderboard import DaysForm
from rewards.admin.runs.journal import StartForm
from rewards.models import ScoreHistory
from tests.factories import HostFactory, RewardRuleFactory
from tests.reports.awarded_week import act

pytestmark = pytest.mark.django_db

FIRST_MONDAY = date(1999, 12, 27)


@pytest.fixture
def _first_weekend():
    RewardRuleFactory(starts_on=date(2000, 1, 1))
    RewardRuleFactory(
        rule_type="WEEKLY_CONSISTENCY", threshold=2, points=100, starts_on=date(2000, 1, 1)
    )
    host = HostFactory()
    for day in (1, 2):
        act(host, date(2000, 1, day))


def awards():
    return list(
        ScoreHistory.objects.order_by("rule_type", "reference_date").values_list(
            "rule_type", "reference_date"
        )
    )


@pytest.mark.usefixtures("_first_weekend")
def test_the_first_week_is_awarded_when_it_is_due(manage):
    code, out, err = manage("award_due")
    assert (code, err) == (0, ""), out

    assert awards() == [
        ("DAILY_LOGIN", date(2000, 1, 1)),
        ("DAILY_LOGIN", date(2000, 1, 2)),
        ("WEEKLY_CONSISTENCY", FIRST_MONDAY),
    ]
    assert manage("verify_ledger")[0] == 0
    assert manage("explain", HostFactory(external_id="x").external_id, "2000-01-02")[0] == 0


@pytest.mark.usefixtures("_first_weekend")
def test_the_first_week_is_awarded_by_its_monday(manage):
    code, out, err = manage("award_weekly", "--week", str(FIRST_MONDAY))

    assert (code, err) == (0, ""), out
    assert awards() == [("WEEKLY_CONSISTENCY", FIRST_MONDAY)]


@pytest.mark.usefixtures("_first_weekend")
def test_the_first_week_is_exported(manage):
    manage("award_due")

    rows = [line.split(",")[1:3] for line in manage("export_history")[1].splitlines()]

    assert ["WEEKLY_CONSISTENCY", str(FIRST_MONDAY)] in rows


@pytest.mark.parametrize(
    "form",
    [
        StartForm({"cadence": "weekly", "day": str(FIRST_MONDAY)}),
        DaysForm({"first": str(FIRST_MONDAY), "last": "2000-01-02"}),
    ],
    ids=["a run is started", "a leaderboard is shown"],
)
def test_pages_accept_the_first_week(form):
    assert form.is_valid(), form.errors
