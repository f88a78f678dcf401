"""Pages of the ledger, in order and without gap or repeat."""

from datetime import timedelta

import pytest

from rewards.choices import ADJUSTMENT, RuleType, RunKind
from rewards.models import ScoreHistory
from rewards.selectors.ledger_pages import HostKey, RunKey, ledger_of_host, ledger_of_run
from rewards.selectors.visible_hosts import ALL_HOSTS
from tests.factories import (
    A_MONDAY,
    AwardRunFactory,
    HostFactory,
    RewardRuleFactory,
    ScoreHistoryFactory,
)

pytestmark = pytest.mark.django_db

ONE_DAY = timedelta(days=1)
TUESDAY = A_MONDAY + ONE_DAY


@pytest.fixture
def rules():
    return {
        name: RewardRuleFactory(rule_type=rule_type)
        for name, rule_type in [
            ("login", RuleType.DAILY_LOGIN),
            ("audio", RuleType.DAILY_AUDIO_CALL_TARGET),
        ]
    }


@pytest.fixture
def run():
    return AwardRunFactory()


def store(user, rule, run, day=A_MONDAY):
    return ScoreHistoryFactory(user=user, rule=rule, run=run, reference_date=day)


# --- Of a host --------------------------------------------------------------------------------


def of_host(host, days=(A_MONDAY, TUESDAY), after=None, limit=9):
    return ledger_of_host(user=host.pk, days=days, after=after, limit=limit, visible=ALL_HOSTS)


def test_a_row_has_its_host_and_its_evidence(rules, run):
    host = HostFactory(external_id="ana")
    award = ScoreHistoryFactory(
        user=host, rule=rules["login"], run=run, points=7, measured=5, threshold=3
    )

    (row,) = of_host(host).rows

    assert row._asdict() == {
        "user_id": host.pk,
        "external_id": "ana",
        "rule_type": "DAILY_LOGIN",
        "reference_date": A_MONDAY,
        "entry": 0,
        "points": 7,
        "measured": 5,
        "threshold": 3,
        "run_id": run.pk,
        "created_at": ScoreHistory.objects.get(pk=award.pk).created_at,
    }


def test_the_rows_of_a_host_are_latest_first(rules, run):
    host, other = HostFactory(), HostFactory()
    for user, rule, day in [
        (host, "audio", A_MONDAY),
        (host, "login", TUESDAY),
        (host, "login", A_MONDAY),
        (host, "audio", TUESDAY),
        (host, "login", TUESDAY + ONE_DAY),
        (host, "login", A_MONDAY - ONE_DAY),
        (other, "login", A_MONDAY),
    ]:
        store(user, rules[rule], run, day)
    places = [
        HostKey(day, rule_type, 0)
        for day in (TUESDAY, A_MONDAY)
        for rule_type in ("DAILY_LOGIN", "DAILY_AUDIO_CALL_TARGET")
    ]

    def keys(**kwargs):
        rows = of_host(host, **kwargs).rows
        return [HostKey(row.reference_date, row.rule_type, row.entry) for row in rows]

    assert keys() == places
    assert of_host(host, limit=4).next is None
    for number, place in enumerate(places[:-1], start=1):
        assert keys(limit=number) == places[:number]
        assert of_host(host, limit=number).next == place
        assert keys(after=place) == places[number:]
    assert keys(after=places[-1]) == []


@pytest.fixture
def undone(rules, run):
    """An award, its undo, and the award of a corrected version, each of a run of its own."""
    award = store(HostFactory(), rules["login"], run)
    runs = [run, AwardRunFactory(kind=RunKind.UNDO), AwardRunFactory()]
    corrected = RewardRuleFactory(starts_on=A_MONDAY)
    for entry, rule, points in [(1, award.rule, -award.points), (2, corrected, award.points)]:
        ScoreHistoryFactory(user=award.user, rule=rule, run=runs[entry], entry=entry, points=points)
    return award.user, runs


def test_the_latest_entry_of_an_award_is_first(undone):
    host, _ = undone

    assert [(row.entry, row.kind, row.points) for row in of_host(host).rows] == [
        (2, "award", 10),
        (1, "undo", -10),
        (0, "award", 10),
    ]
    for entry in (2, 1):
        place = HostKey(A_MONDAY, "DAILY_LOGIN", entry)
        assert of_host(host, limit=3 - entry).next == place
        assert [row.entry for row in of_host(host, after=place).rows] == list(range(entry))[::-1]


def test_each_entry_is_a_row_of_its_own_run(undone):
    _, runs = undone

    assert [[row.entry for row in of_run(run).rows] for run in runs] == [[0], [1], [2]]


def test_an_adjustment_has_no_evidence():
    host = HostFactory()
    ScoreHistory.objects.create(
        user=host, rule_type=ADJUSTMENT, reference_date=A_MONDAY, entry=0, points=-5
    )

    (row,) = of_host(host).rows

    assert (row.kind, row.points) == ("adjustment", -5)
    assert (row.measured, row.threshold, row.run_id) == (None, None, None)


# --- Of a run ---------------------------------------------------------------------------------


def of_run(run, after=None, limit=9):
    return ledger_of_run(
        run=run.pk,
        reference_date=run.reference_date,
        after=after,
        limit=limit,
        visible=ALL_HOSTS,
    )


def test_the_rows_of_a_run_are_by_user_and_rule_type(rules, run):
    first, second = HostFactory(external_id="z"), HostFactory(external_id="a")
    other = AwardRunFactory()
    for user, rule, of in [
        (second, "audio", run),
        (first, "login", run),
        (first, "audio", run),
        (second, "login", other),
    ]:
        store(user, rules[rule], of)
    store(second, rules["login"], other, TUESDAY)
    places = [
        RunKey(first.pk, "DAILY_AUDIO_CALL_TARGET", 0),
        RunKey(first.pk, "DAILY_LOGIN", 0),
        RunKey(second.pk, "DAILY_AUDIO_CALL_TARGET", 0),
    ]

    def keys(**kwargs):
        rows = of_run(run, **kwargs).rows
        return [RunKey(row.user_id, row.rule_type, row.entry) for row in rows]

    assert keys() == places
    assert [row.external_id for row in of_run(run).rows] == ["z", "z", "a"]
    assert of_run(run, limit=3).next is None
    for number, place in enumerate(places[:-1], start=1):
        assert keys(limit=number) == places[:number]
        assert of_run(run, limit=number).next == place
        assert keys(after=place) == places[number:]
    assert keys(after=places[-1]) == []
