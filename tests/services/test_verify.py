import pytest
from django.db import connection

from rewards.models import Score, ScoreHistory
from rewards.services import verify
from tests.factories import A_MONDAY, ScoreFactory, ScoreHistoryFactory

pytestmark = pytest.mark.django_db


def broken() -> set[str]:
    return {each.name for each in verify.verify_ledger(today=A_MONDAY) if each.violations}


@pytest.fixture
def award() -> ScoreHistory:
    award = ScoreHistoryFactory(run__awards=1, run__points=10)
    ScoreFactory(user=award.user)
    return award


def test_a_sound_ledger_has_no_violation(award):
    assert broken() == set()


def test_a_score_that_differs_is_found_and_rebuilt(award):
    Score.objects.update(lifetime=11, weekly=11)

    assert broken() == {"I3", "I4"}
    assert verify.repair_scores() == 1
    assert broken() == set()
    assert verify.repair_scores() == 0


def test_a_missing_score_is_found_and_rebuilt(award):
    Score.objects.all().delete()

    assert broken() == {"I3"}
    assert verify.repair_scores() == 1
    assert broken() == set()


@pytest.mark.parametrize(
    ("table", "trigger", "invariant"),
    [
        ("scorehistory", "scorehistory_is_append_only", "I7"),
        ("scorehistory", "scorehistory_names_run_and_rule", "I20"),
        ("awardrun", "awardrun_is_kept", "I20"),
    ],
)
def test_a_trigger_that_is_off_is_found(award, table, trigger, invariant):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"ALTER TABLE rewards_{table} DISABLE TRIGGER rewards_{trigger}")

    assert broken() == {invariant}
