"""The run journal, and what each run wrote."""

from datetime import UTC, datetime

import pytest
from django.utils import timezone

from rewards.api.awards import LedgerPage
from rewards.api.runs import Run, RunPage
from rewards.choices import Cadence, RuleType, RunTrigger
from rewards.engine.business_days import ONE_DAY
from rewards.models import AwardRun, ScoreHistory
from rewards.reports.journal import journal_row
from rewards.selectors.visible_hosts import ALL_HOSTS
from tests.api.conftest import problem_of
from tests.api.reading import documented, pages
from tests.awards import award_daily
from tests.factories import (
    A_MONDAY,
    AwardRunFactory,
    DailyActivityFactory,
    HostFactory,
    RewardRuleFactory,
    ScoreHistoryFactory,
)

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
ADDRESS = "/api/v1/runs"


@pytest.fixture(autouse=True)
def _fixed_clock(db, monkeypatch):
    monkeypatch.setattr(timezone, "now", lambda: NOW)


@pytest.fixture
def run():
    """A run that has paid two hosts, one of them twice."""
    RewardRuleFactory()
    RewardRuleFactory(rule_type=RuleType.DAILY_AUDIO_CALL_TARGET)
    for name, calls in [("z", 1), ("a", 0)]:
        DailyActivityFactory(user=HostFactory(external_id=name), audio_calls=calls)
    award_daily(day=A_MONDAY, now=NOW, trigger=RunTrigger.COMMAND)
    return AwardRun.objects.get()


def as_reported(run):
    return journal_row(run=run.pk, visible=ALL_HOSTS).to_dict()


# --- The journal ------------------------------------------------------------------------------


def test_the_journal_shows_each_run(api, run):
    open_run = AwardRunFactory(
        reference_date=A_MONDAY + ONE_DAY, status="running", finished_at=None
    )

    answer = documented(RunPage, api.get(ADDRESS).json())

    assert answer == {"runs": [as_reported(open_run), as_reported(run)], "next": None}
    assert answer["runs"][1]["awards"] == 3
    assert answer["runs"][1]["by_rule"] == {
        "DAILY_AUDIO_CALL_TARGET": {"awards": 1, "points": 10},
        "DAILY_LOGIN": {"awards": 2, "points": 20},
    }


def test_a_run_is_shown_as_in_the_journal(api, run):
    assert documented(Run, api.get(f"{ADDRESS}/{run.pk}").json()) == as_reported(run)


def test_the_journal_shows_the_dates_asked_for(api):
    for days_ago in (0, 399, 400):
        AwardRunFactory(reference_date=NOW.date() - days_ago * ONE_DAY)

    def dates(query=""):
        return [row["reference_date"] for row in api.get(f"{ADDRESS}{query}").json()["runs"]]

    assert dates() == ["2026-11-18", "2025-10-15"]
    assert dates("?to=2025-10-14") == ["2025-10-14"]
    assert dates("?from=2026-11-18&to=2026-11-18") == ["2026-11-18"]


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 500])
def test_pages_of_runs_have_no_gap_or_repeat(api, limit):
    for attempt in (1, 2, 3):
        for cadence in Cadence:
            AwardRunFactory(attempt=attempt, cadence=cadence)
    whole = api.get(ADDRESS).json()["runs"]
    newer = (AwardRunFactory(attempt=n, cadence=Cadence.WEEKLY) for n in range(4, 99))

    found = pages(api, ADDRESS, "runs", limit=limit, meanwhile=lambda: next(newer))

    assert [row for page in found for row in page] == whole
    assert len(whole) == 6


# --- What a run wrote -------------------------------------------------------------------------


def test_the_rows_of_a_run_are_by_host_and_rule_type(api, run):
    answer = documented(LedgerPage, api.get(f"{ADDRESS}/{run.pk}/awards").json())

    rows = answer["awards"]
    assert [(row["user_id"], row["rule_type"]) for row in rows] == [
        ("z", "DAILY_AUDIO_CALL_TARGET"),
        ("z", "DAILY_LOGIN"),
        ("a", "DAILY_LOGIN"),
    ]
    assert {row["run"] for row in rows} == {run.pk}
    assert sum(row["points"] for row in rows) == run.points == 30
    assert answer["next"] is None


@pytest.mark.parametrize("limit", [1, 2, 3, 500])
def test_pages_of_rows_have_no_gap_or_repeat(api, run, limit):
    rule = RewardRuleFactory(rule_type=RuleType.DAILY_VIDEO_CALL_TARGET)
    later = AwardRunFactory(attempt=99)
    address = f"{ADDRESS}/{run.pk}/awards"
    whole = api.get(address).json()["awards"]

    found = pages(
        api,
        address,
        "awards",
        limit=limit,
        meanwhile=lambda: ScoreHistoryFactory(rule=rule, run=later),
    )

    assert [row for page in found for row in page] == whole
    assert len(whole) == 3


def test_every_row_of_the_ledger_is_of_one_run(api, run):
    DailyActivityFactory()
    award_daily(day=A_MONDAY, now=NOW, trigger=RunTrigger.COMMAND)

    rows = [
        row
        for shown in api.get(ADDRESS).json()["runs"]
        for row in api.get(f"{ADDRESS}/{shown['id']}/awards").json()["awards"]
    ]

    assert len(rows) == ScoreHistory.objects.count() == 4


def test_a_cursor_of_another_run_is_refused(api, run):
    other = AwardRunFactory(attempt=99)
    cursor = api.get(f"{ADDRESS}/{run.pk}/awards?limit=1").json()["next"]

    problem_of(api.get(f"{ADDRESS}/{other.pk}/awards?cursor={cursor}"), 422, "invalid")
    problem_of(api.get(f"{ADDRESS}?cursor={cursor}"), 422, "invalid")


# --- Which run --------------------------------------------------------------------------------


@pytest.mark.parametrize("rest", ["", "/awards"])
@pytest.mark.parametrize("run_id", ["0", "7", "9" * 30])
def test_an_unknown_run(api, run_id, rest):
    problem = problem_of(api.get(f"{ADDRESS}/{run_id}{rest}"), 404, "not-found")

    assert problem["detail"] == f"There is no run {run_id}."


@pytest.mark.parametrize("rest", ["", "/awards"])
@pytest.mark.parametrize("run_id", ["x", "-1", "1.5", "%00", "٣", "9" * 5_000])
def test_a_run_has_a_number(api, run_id, rest):
    problem_of(api.get(f"{ADDRESS}/{run_id}{rest}"), 404, "not-found")
