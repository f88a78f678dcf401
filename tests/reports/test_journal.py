"""The run journal for a reader outside."""

from datetime import UTC, datetime

import pytest

from rewards.engine.business_days import ONE_DAY
from rewards.exceptions import UnknownRun
from rewards.models import AwardRun
from rewards.reports.journal import JournalRow, RunPlace, journal_page, journal_row
from rewards.selectors.visible_hosts import ALL_HOSTS
from tests.factories import A_MONDAY, AwardRunFactory

pytestmark = pytest.mark.django_db


def test_a_page_of_the_journal():
    first, second = (AwardRunFactory(attempt=number) for number in (1, 2))
    AwardRunFactory(reference_date=A_MONDAY + ONE_DAY)

    def page(**kwargs):
        return journal_page(
            first=A_MONDAY, last=A_MONDAY, visible=ALL_HOSTS, **{"after": None, "limit": 1} | kwargs
        )

    assert page().rows == [JournalRow(run=second)]
    assert page().next == RunPlace(A_MONDAY, "daily", 2)
    assert page(after=page().next).rows == [JournalRow(run=first)]
    assert page(limit=2).next is None
    assert page().to_dict() == {"runs": [JournalRow(run=second).to_dict()]}


def test_a_run_is_shown_without_the_text_of_its_error():
    run = AwardRunFactory(
        attempt=2,
        status="partial",
        hosts_evaluated=5,
        hosts_rewarded=3,
        hosts_failed=2,
        awards=3,
        points=30,
        by_rule={"DAILY_LOGIN": {"awards": 3, "points": 30}},
        error="DETAIL: Key (user_id)=(5) ...",
    )

    assert journal_row(run=run.pk, visible=ALL_HOSTS).to_dict() == {
        "id": run.pk,
        "kind": "award",
        "cadence": "daily",
        "reference_date": "2026-11-16",
        "attempt": 2,
        "status": "partial",
        "trigger": "command",
        "started_at": "2026-11-17T00:05:00+00:00",
        "finished_at": "2026-11-17T00:06:00+00:00",
        "counted_at": None,
        "hosts_evaluated": 5,
        "hosts_rewarded": 3,
        "hosts_failed": 2,
        "awards": 3,
        "points": 30,
        "by_rule": {"DAILY_LOGIN": {"awards": 3, "points": 30}},
    }


def test_a_live_run_says_when_it_was_counted():
    counted_at = datetime(2026, 11, 16, 10, 35, tzinfo=UTC)
    run = AwardRunFactory(kind="live", attempt=0, counted_at=counted_at)

    shown = journal_row(run=run.pk, visible=ALL_HOSTS).to_dict()

    assert (shown["kind"], shown["attempt"]) == ("live", 0)
    assert shown["counted_at"] == "2026-11-16T10:35:00+00:00"


def test_an_open_run_has_no_end():
    run = AwardRun(reference_date=A_MONDAY, started_at=datetime(2026, 11, 17, tzinfo=UTC))

    assert JournalRow(run=run).to_dict()["finished_at"] is None


def test_an_unknown_run():
    with pytest.raises(UnknownRun):
        journal_row(run=7, visible=ALL_HOSTS)
