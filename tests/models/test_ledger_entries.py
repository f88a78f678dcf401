"""Entries of the ledger: what may follow what, and which runs may write."""

import threading
from contextlib import nullcontext

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from rewards.choices import RunKind, RunStatus
from rewards.models import AwardRun, ScoreHistory
from tests.factories import AwardRunFactory, HostFactory, RewardRuleFactory, ScoreHistoryFactory
from tests.processes import TIMEOUT_SECONDS

OPEN = {"status": RunStatus.RUNNING, "finished_at": None}


def run_of(kind, **kwargs):
    if kind == RunKind.LIVE:
        kwargs = {"attempt": 0, "status": RunStatus.LIVE, "finished_at": None} | kwargs
    return AwardRunFactory(kind=kind, **(OPEN | kwargs))


def write(award, **changes):
    """Add a row like `award`, changed."""
    fields = ("user", "rule_type", "reference_date", "points", "rule", "measured", "threshold")
    row = {field: getattr(award, field) for field in fields} | changes
    with transaction.atomic():
        return ScoreHistory.objects.create(**row)


def undo(award, **changes):
    return write(
        award,
        **{"entry": award.entry + 1, "points": -award.points, "run": run_of(RunKind.UNDO)}
        | changes,
    )


@pytest.fixture
def award(db):
    return ScoreHistoryFactory(measured=3)


def test_an_undo_is_the_negative_of_the_award(award):
    undo(award)

    assert list(ScoreHistory.objects.order_by("entry").values_list("entry", "points")) == [
        (0, 10),
        (1, -10),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"points": -9},
        {"measured": 4},
        {"threshold": 2},
        {"entry": 3},
        {"rule": "another"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_an_undo_of_something_else_is_refused(award, changes):
    if "rule" in changes:
        changes = {"rule": RewardRuleFactory(starts_on=award.reference_date)}

    with pytest.raises(IntegrityError, match="does not follow from the entry before"):
        undo(award, **changes)


def test_an_award_is_undone_once(award):
    undo(award)

    with pytest.raises(IntegrityError, match="rewards_scorehistory_award_once"):
        undo(award)


def test_an_award_after_an_undo_is_by_another_version(award):
    undone = undo(award)
    again = {"entry": 2, "points": 12, "run": run_of(RunKind.AWARD)}

    with pytest.raises(IntegrityError, match="does not follow from the entry before"):
        write(undone, **again)
    write(undone, **again, rule=RewardRuleFactory(starts_on=award.reference_date))

    assert sum(ScoreHistory.objects.values_list("points", flat=True)) == 12


def test_an_award_after_an_award_that_stands_is_refused(award):
    other = RewardRuleFactory(starts_on=award.reference_date)

    with pytest.raises(IntegrityError, match="does not follow from the entry before"):
        write(award, entry=2, rule=other, run=run_of(RunKind.AWARD))


@pytest.mark.parametrize("kind", [RunKind.AWARD, RunKind.LIVE])
def test_only_an_undo_run_writes_undos(award, kind):
    with pytest.raises(IntegrityError, match="cannot write this entry"):
        undo(award, run=run_of(kind))


def test_an_undo_run_writes_no_award(award):
    with pytest.raises(IntegrityError, match="cannot write this entry"):
        write(award, user=HostFactory(), run=run_of(RunKind.UNDO))


@pytest.mark.parametrize(
    ("kind", "status", "takes_awards"),
    [
        (RunKind.AWARD, RunStatus.RUNNING, True),
        (RunKind.LIVE, RunStatus.LIVE, True),
        (RunKind.AWARD, RunStatus.HELD, False),
        (RunKind.LIVE, RunStatus.HELD, False),
        *((RunKind.AWARD, status, False) for status in ("done", "partial", "failed")),
        *((RunKind.LIVE, status, False) for status in ("done", "failed")),
    ],
)
def test_only_an_open_run_takes_awards(award, kind, status, takes_awards):
    run = run_of(kind)
    is_open = status in {"running", "live", "held"}
    AwardRun.objects.filter(pk=run.pk).update(
        status=status, finished_at=None if is_open else run.started_at
    )
    refused = pytest.raises(DatabaseError, match=f"is {status} and takes no awards")

    with nullcontext() if takes_awards else refused:
        write(award, user=HostFactory(), run=run)


def test_adjustments_of_a_host_and_date_are_numbered(db):
    host = HostFactory()
    values = dict.fromkeys(("rule", "run", "measured", "threshold"))
    for entry, points in enumerate([5, -3, 7]):
        ScoreHistoryFactory(user=host, rule_type="ADJUSTMENT", entry=entry, points=points, **values)

    with pytest.raises(IntegrityError, match="award_once"):
        ScoreHistoryFactory(user=host, rule_type="ADJUSTMENT", entry=2, points=1, **values)


@pytest.mark.django_db(transaction=True)
def test_the_end_of_a_run_waits_for_its_awards():
    """The row of the run, locked FOR UPDATE, shows every award that is being written."""
    award, run = ScoreHistoryFactory(), run_of(RunKind.LIVE)
    is_written, may_commit, counts = threading.Event(), threading.Event(), []

    def write_and_wait():
        try:
            with transaction.atomic():
                write(award, user=HostFactory(), run=run)
                is_written.set()
                may_commit.wait(TIMEOUT_SECONDS)
        finally:
            connection.close()

    def end():
        try:
            with transaction.atomic():
                AwardRun.objects.select_for_update().get(pk=run.pk)
                counts.append(run.ledger_rows.count())
        finally:
            connection.close()

    writer, closer = threading.Thread(target=write_and_wait), threading.Thread(target=end)
    writer.start()
    assert is_written.wait(TIMEOUT_SECONDS)
    closer.start()
    closer.join(0.2)
    assert closer.is_alive()
    may_commit.set()
    for thread in (writer, closer):
        thread.join(TIMEOUT_SECONDS)

    assert counts == [1]
