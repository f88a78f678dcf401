"""Ledger rows for a reader outside."""

from datetime import timedelta

import pytest
from django.db import connection

from rewards.choices import ADJUSTMENT
from rewards.exceptions import QueryTimedOut, UnknownHost, UnknownRun
from rewards.models import ScoreHistory
from rewards.reports import ledger as module
from rewards.reports.ledger import awards_of_host, awards_of_run
from rewards.selectors.visible_hosts import ALL_HOSTS
from tests.factories import A_MONDAY, AwardRunFactory, HostFactory, ScoreHistoryFactory

pytestmark = pytest.mark.django_db

ONE_DAY = timedelta(days=1)


def of_host(external_id, first=A_MONDAY, last=A_MONDAY):
    return awards_of_host(
        external_id=external_id, first=first, last=last, after=None, limit=9, visible=ALL_HOSTS
    )


def of_run(run):
    return awards_of_run(run=run, after=None, limit=9, visible=ALL_HOSTS)


def test_the_rows_of_a_host_lie_between_two_dates():
    award = ScoreHistoryFactory(user=HostFactory(external_id="ana"))

    def found(first, last):
        page = of_host("ana", A_MONDAY + first * ONE_DAY, A_MONDAY + last * ONE_DAY)
        return [row.rule_type for row in page.rows]

    assert found(0, 0) == found(-1, 1) == [award.rule_type]
    assert found(1, 2) == found(-2, -1) == []


def test_the_rows_of_a_run():
    award = ScoreHistoryFactory()
    ScoreHistoryFactory(rule=award.rule)

    assert [row.user_id for row in of_run(award.run.pk).rows] == [award.user.pk]


def test_who_is_unknown_has_no_rows():
    with pytest.raises(UnknownHost, match=r"^No host has the external id 'nobody'\.$"):
        of_host("nobody")
    with pytest.raises(UnknownRun, match=r"^There is no run 7\.$"):
        of_run(7)


def test_the_rows_of_a_run_have_a_time_limit(monkeypatch):
    def slow(**_):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(5)")

    monkeypatch.setattr(module, "LEDGER_TIMEOUT_MS", 10)
    monkeypatch.setattr(module, "ledger_of_run", slow)

    with pytest.raises(QueryTimedOut, match=r"canceled; ask again later\.$"):
        of_run(AwardRunFactory().pk)


def test_a_row_names_host_evidence_and_run():
    award = ScoreHistoryFactory(user=HostFactory(external_id="ana"), points=7, measured=5)
    (row,) = of_host("ana").rows

    assert of_host("ana").to_dict()["awards"] == [
        {
            "kind": "award",
            "user_id": "ana",
            "rule_type": "DAILY_LOGIN",
            "reference_date": "2026-11-16",
            "entry": 0,
            "points": 7,
            "measured": 5,
            "threshold": 1,
            "run": award.run.pk,
            "written_at": row.created_at.isoformat(),
        }
    ]


def test_an_adjustment_names_no_rule():
    ScoreHistory.objects.create(
        user=HostFactory(external_id="ana"),
        rule_type=ADJUSTMENT,
        reference_date=A_MONDAY,
        points=-5,
    )
    (row,) = of_host("ana").rows

    assert of_host("ana").to_dict()["awards"] == [
        {
            "kind": "adjustment",
            "user_id": "ana",
            "rule_type": None,
            "reference_date": "2026-11-16",
            "entry": 0,
            "points": -5,
            "measured": None,
            "threshold": None,
            "run": None,
            "written_at": row.created_at.isoformat(),
        }
    ]
