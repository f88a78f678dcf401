"""The repair of scores from the ledger."""

import pytest
from django.db import connection

from rewards.models import ActivityEvent, AwardRun, DailyActivity, Score, ScoreHistory
from rewards.services.scores import repair_scores
from tests.factories import A_MONDAY, HostFactory
from tests.reports.awarded_week import create_awarded_week, damage

pytestmark = pytest.mark.django_db


@pytest.fixture
def _awarded_week():
    create_awarded_week()


def rows(*models):
    return [list(model.objects.order_by("pk").values()) for model in models]


@pytest.mark.usefixtures("_awarded_week")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE rewards_score SET lifetime = lifetime + 7",
        "UPDATE rewards_score SET daily = 0, weekly = 0",
        "DELETE FROM rewards_score",
        "DELETE FROM rewards_score WHERE lifetime = 10",
        "UPDATE rewards_score SET daily_date = '2026-11-30', week_start = '2026-11-30'",
    ],
)
def test_scores_are_rebuilt_and_nothing_else_is_written(statement):
    intact, others = rows(Score), rows(ScoreHistory, AwardRun, DailyActivity, ActivityEvent)
    damage(statement)
    damaged = rows(Score)

    dry_run = repair_scores(is_dry_run=True)
    after_dry_run = rows(Score)
    repair = repair_scores()

    assert after_dry_run == damaged != intact
    assert rows(Score) == intact
    assert rows(ScoreHistory, AwardRun, DailyActivity, ActivityEvent) == others
    assert dry_run == repair
    assert repair.scores >= 1
    assert repair_scores().scores == 0


@pytest.mark.usefixtures("_awarded_week")
def test_a_repair_reports_the_host_and_its_points():
    damage("UPDATE rewards_score SET lifetime = 17 WHERE lifetime = 10")

    assert repair_scores().examples == ["bo: lifetime 17 -> 10, daily 0, weekly 10"]


def test_a_score_without_awards_becomes_zero():
    Score.objects.create(user=HostFactory(), lifetime=5, daily_date=A_MONDAY, week_start=A_MONDAY)

    assert repair_scores().scores == 1
    assert Score.objects.get().lifetime == 0


def test_a_repair_locks_ledger_and_scores():
    """Points of a batch that commits in between would be lost."""

    def locks():
        with connection.cursor() as cursor:
            cursor.execute(
                """
                SELECT relation::regclass::text FROM pg_locks
                WHERE pid = pg_backend_pid() AND mode = 'ShareRowExclusiveLock'
                """
            )
            return {table for (table,) in cursor}

    repair_scores(is_dry_run=True)
    assert locks() == set()

    repair_scores()
    assert locks() == {"rewards_scorehistory", "rewards_score"}
