"""The ledger is append-only: the ORM refuses changes, and so does the database."""

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError

from rewards.choices import RunStatus
from rewards.exceptions import LedgerIsAppendOnly
from rewards.models import ScoreHistory
from tests.factories import AwardRunFactory, ScoreHistoryFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def award():
    return ScoreHistoryFactory(points=10)


CHANGES = {
    "save": lambda award: award.save(),
    "delete": lambda award: award.delete(),
    "update": lambda award: ScoreHistory.objects.update(points=99),
    "update_of_a_filter": lambda award: ScoreHistory.objects.filter(pk=award.pk).update(points=9),
    "queryset_delete": lambda award: ScoreHistory.objects.all().delete(),
    "bulk_update": lambda award: ScoreHistory.objects.bulk_update([award], ["points"]),
    "bulk_create_update_conflicts": lambda award: ScoreHistory.objects.bulk_create(
        [award],
        update_conflicts=True,
        update_fields=["points"],
        unique_fields=["reference_date", "user", "rule_type"],
    ),
    "bulk_create_ignore_conflicts": lambda award: ScoreHistory.objects.bulk_create(
        [award], ignore_conflicts=True
    ),
    "through_the_host": lambda award: award.user.awards.all().delete(),
    "through_the_run": lambda award: award.run.ledger_rows.update(points=99),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_orm_refuses_to_change_an_award(award, change):
    award.points = 99

    with pytest.raises(LedgerIsAppendOnly):
        CHANGES[change](award)

    assert list(ScoreHistory.objects.values_list("points", flat=True)) == [10]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE rewards_scorehistory SET points = 99",
        "DELETE FROM rewards_scorehistory",
        "TRUNCATE rewards_scorehistory",
        "INSERT INTO rewards_scorehistory SELECT * FROM rewards_scorehistory"
        " ON CONFLICT (reference_date, user_id, rule_type, entry) DO UPDATE SET points = 99",
    ],
)
def test_the_database_refuses_to_change_an_award(award, statement):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # TRUNCATE needs all checks done

    with (
        pytest.raises(IntegrityError, match="the ledger is append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)

    assert list(ScoreHistory.objects.values_list("points", flat=True)) == [10]


def test_new_awards_can_be_added(award):
    run = AwardRunFactory(status=RunStatus.RUNNING, finished_at=None)
    other = ScoreHistoryFactory.build(user=award.user, rule=award.rule, run=run)
    other.reference_date = award.reference_date.replace(day=17)

    ScoreHistory.objects.bulk_create([other])

    assert ScoreHistory.objects.count() == 2


def delete_behind_the_orm(table, pk):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {table} WHERE id = %s", [pk])  # noqa: S608 - our own table
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.mark.parametrize("parent", ["user", "rule", "run"])
def test_what_an_award_references_cannot_be_deleted(award, parent):
    row = getattr(award, parent)
    table = row._meta.db_table

    with pytest.raises(ProtectedError):
        row.delete()
    with pytest.raises(IntegrityError, match="violates foreign key"):
        delete_behind_the_orm(table, row.pk)

    assert ScoreHistory.objects.filter(pk=award.pk).exists()
