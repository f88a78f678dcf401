"""The ledger rows of a host, page by page."""

from datetime import UTC, datetime

import pytest
from django.utils import timezone

from rewards.api.awards import LedgerPage
from rewards.choices import RuleType
from rewards.engine.business_days import ONE_DAY
from rewards.reports.ledger import awards_of_host
from rewards.selectors.visible_hosts import ALL_HOSTS
from tests.api.conftest import problem_of
from tests.api.reading import documented, pages
from tests.factories import (
    A_MONDAY,
    AwardRunFactory,
    HostFactory,
    RewardRuleFactory,
    ScoreHistoryFactory,
)

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
TODAY = NOW.date()
ADDRESS = "/api/v1/hosts/ana/awards"


@pytest.fixture(autouse=True)
def _fixed_clock(monkeypatch):
    monkeypatch.setattr(timezone, "now", lambda: NOW)


@pytest.fixture
def store(db):
    """Return a function that stores a login and an audio award of Ana for a day."""
    ana, run = HostFactory(external_id="ana"), AwardRunFactory()
    rules = [
        RewardRuleFactory(rule_type=rule_type)
        for rule_type in (RuleType.DAILY_LOGIN, RuleType.DAILY_AUDIO_CALL_TARGET)
    ]
    other = HostFactory()
    ScoreHistoryFactory(user=other, rule=rules[0], run=run)

    def awards_for(day):
        return [
            ScoreHistoryFactory(user=ana, rule=rule, run=run, reference_date=day) for rule in rules
        ]

    return awards_for


def places(rows):
    return [(row["reference_date"], row["rule_type"]) for row in rows]


def test_the_rows_are_those_of_the_report(api, store):
    store(A_MONDAY)
    report = awards_of_host(
        external_id="ana", first=A_MONDAY, last=TODAY, after=None, limit=9, visible=ALL_HOSTS
    )

    answer = documented(LedgerPage, api.get(ADDRESS).json())

    assert answer == report.to_dict() | {"next": None}
    assert places(answer["awards"]) == [
        ("2026-11-16", "DAILY_LOGIN"),
        ("2026-11-16", "DAILY_AUDIO_CALL_TARGET"),
    ]


def test_the_rows_are_those_of_the_dates_asked_for(api, store):
    for days_ago in (0, 1, 2, 399, 400):
        store(TODAY - days_ago * ONE_DAY)

    def dates(query=""):
        rows = api.get(f"{ADDRESS}{query}").json()["awards"]
        return [row["reference_date"] for row in rows][::2]

    latest = ["2026-11-18", "2026-11-17", "2026-11-16"]
    assert dates() == [*latest, "2025-10-15"]
    assert dates("?from=2026-11-17") == latest[:2]
    assert dates("?to=2026-11-17&from=2026-11-17") == latest[1:2]
    assert dates("?to=2025-10-14") == ["2025-10-14"]
    assert dates("?from=2026-11-19&to=2026-11-30") == []


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7, 8, 500])
def test_pages_have_no_gap_or_repeat(api, store, limit):
    for offset in range(4):
        store(A_MONDAY - offset * ONE_DAY)
    whole = api.get(ADDRESS).json()["awards"]

    found = pages(api, ADDRESS, "awards", limit=limit)

    assert [row for page in found for row in page] == whole
    assert {len(page) for page in found[:-1]} <= {limit}
    assert 1 <= len(found[-1]) <= limit


def test_rows_that_are_added_meanwhile_are_no_repeats(api, store):
    """Those before the place that was reached do not move it; those after it are found."""
    for offset in (0, 4):
        store(A_MONDAY - offset * ONE_DAY)
    whole = places(api.get(ADDRESS).json()["awards"])
    added = iter([TODAY, A_MONDAY - 2 * ONE_DAY, A_MONDAY - 9 * ONE_DAY])

    def add():
        if day := next(added, None):
            store(day)

    found = [row for page in pages(api, ADDRESS, "awards", limit=1, meanwhile=add) for row in page]

    assert len(set(places(found))) == len(found)
    assert set(whole) < set(places(found))
    assert places(found) == sorted(places(found), reverse=True)
    assert "2026-11-18" not in dict(places(found))
    assert {"2026-11-14", "2026-11-07"} < dict(places(found)).keys()


def test_a_cursor_of_another_host_is_refused(api, store):
    store(A_MONDAY)
    HostFactory(external_id="bo")
    cursor = api.get(f"{ADDRESS}?limit=1").json()["next"]

    problem = problem_of(api.get(f"/api/v1/hosts/bo/awards?cursor={cursor}"), 422, "invalid")

    assert problem["detail"] == (
        f"The cursor is not the `next` of a page of this list: {cursor!a:.80}."
    )


def test_a_page_has_100_rows_unless_another_limit_is_asked_for(api, store):
    for offset in range(51):
        store(A_MONDAY - offset * ONE_DAY)

    assert [len(page) for page in pages(api, ADDRESS, "awards", limit=500)] == [102]
    assert len(api.get(ADDRESS).json()["awards"]) == 100
