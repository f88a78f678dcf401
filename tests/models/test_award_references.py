"""The foreign keys from awards to runs and rule versions, which triggers enforce."""

import threading

import psycopg
import pytest
from django.db import IntegrityError, NotSupportedError, connection, transaction

from rewards.choices import RuleType, RunStatus
from rewards.models import AwardRun, RewardRule, ScoreHistory
from tests.factories import (
    AwardRunFactory,
    HostFactory,
    RewardRuleFactory,
    ScoreHistoryFactory,
)
from tests.processes import TIMEOUT_SECONDS

INSERT = """
    INSERT INTO rewards_scorehistory
        (user_id, rule_type, reference_date, points, rule_id, measured, threshold, run_id)
    VALUES (%(user)s, 'DAILY_LOGIN', '2026-11-16', 10, %(rule)s, 1, 1, %(run)s)
"""


def execute(statement, values=None):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)


def open_run(**kwargs):
    return AwardRunFactory(status=RunStatus.RUNNING, finished_at=None, **kwargs)


@pytest.fixture
def parents():
    return {"user": HostFactory().pk, "rule": RewardRuleFactory().pk, "run": open_run().pk}


@pytest.mark.django_db
@pytest.mark.parametrize("parent", ["rule", "run"])
def test_an_award_needs_its_run_and_its_rule_version(parents, parent):
    missing = parents | {parent: 0}

    with pytest.raises(IntegrityError, match="violates foreign key"):
        execute(INSERT, missing)

    assert not ScoreHistory.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("parent", ["rule", "run"])
def test_one_invalid_row_refuses_the_statement(parents, parent):
    second = parents | {"user": HostFactory().pk, parent: 0}

    with pytest.raises(IntegrityError, match="violates foreign key"):
        execute(
            INSERT + ", (%(u)s, 'DAILY_LOGIN', '2026-11-16', 10, %(ru)s, 1, 1, %(r)s)",
            parents | {"u": second["user"], "ru": second["rule"], "r": second["run"]},
        )

    assert not ScoreHistory.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE rewards_rewardrule SET id = id + 1000",
        "UPDATE rewards_awardrun SET id = id + 1000",
        "DELETE FROM rewards_rewardrule",
        "DELETE FROM rewards_awardrun",
        "TRUNCATE rewards_rewardrule CASCADE",
        "TRUNCATE rewards_awardrun CASCADE",
    ],
)
def test_a_referenced_row_is_kept(statement):
    ScoreHistoryFactory()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # TRUNCATE needs all checks done

    with pytest.raises(IntegrityError, match="violates foreign key"):
        execute(statement)


@pytest.mark.django_db
def test_an_unreferenced_row_can_be_deleted():
    ScoreHistoryFactory()
    run, rule = AwardRunFactory(), RewardRuleFactory(rule_type=RuleType.DAILY_AUDIO_CALL_TARGET)

    run.delete()
    rule.delete()

    assert (AwardRun.objects.count(), RewardRule.objects.count()) == (1, 1)


def waits(pid):
    """Return whether the server process `pid` waits for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT cardinality(pg_blocking_pids(%s))", [pid])
        (blocking,) = cursor.fetchone()
    return blocking > 0


def race(first, second):
    """Start `second` while `first` is not committed; return the errors of `second`."""
    parameters = connection.get_connection_params() | {"cursor_factory": psycopg.Cursor}
    parameters.pop("context", None)
    failures = []

    def attempt(other):
        try:
            other.execute(*second)
        except psycopg.Error as error:
            failures.append(error)

    with psycopg.connect(**parameters) as one, psycopg.connect(**parameters) as other:
        one.execute(*first)
        thread = threading.Thread(target=attempt, args=[other])
        thread.start()
        while thread.is_alive() and not waits(other.info.backend_pid):
            thread.join(0.01)
        one.commit()
        thread.join(TIMEOUT_SECONDS)
        other.rollback()
    return failures


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("parent", ["rule", "run"])
def test_a_delete_waits_for_a_new_award_and_is_refused(parents, parent):
    table = {"rule": "rewards_rewardrule", "run": "rewards_awardrun"}[parent]

    (failure,) = race((INSERT, parents), (f"DELETE FROM {table}",))  # noqa: S608 - our own table

    assert "violates foreign key" in str(failure)
    assert ScoreHistory.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("parent", ["rule", "run"])
def test_a_new_award_waits_for_a_delete_and_is_refused(parents, parent):
    table = {"rule": "rewards_rewardrule", "run": "rewards_awardrun"}[parent]

    (failure,) = race((f"DELETE FROM {table}",), (INSERT, parents))  # noqa: S608 - our own table

    assert "violates foreign key" in str(failure)
    assert not ScoreHistory.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_delete_needs_read_committed(parents):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        with pytest.raises(NotSupportedError, match="READ COMMITTED"), transaction.atomic():
            AwardRun.objects.all().delete()
