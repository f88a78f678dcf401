"""Database errors told apart by their SQLSTATE, and retries after conflicts."""

import logging
import random
import time

import psycopg
import pytest
from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError, connection

from rewards.services import db_errors
from rewards.services.db_errors import (
    MAX_TRIES,
    first_line,
    is_conflict,
    is_connection_lost,
    is_sequence_behind,
    retry_on_conflict,
)
from tests.factories import HostFactory, ScoreFactory, ScoreHistoryFactory


def caused(error, cause):
    error.__cause__ = cause
    return error


def of_state(sqlstate, kind=OperationalError):
    """Return an error of Django whose cause has this SQLSTATE."""
    cause = type("Cause", (psycopg.DatabaseError,), {"sqlstate": sqlstate})
    return caused(kind("no"), cause())


def raised(function):
    """Return the database error that a function raises."""
    with pytest.raises(DatabaseError) as error:
        function()
    return error.value


@pytest.fixture
def waits(monkeypatch):
    """The ranges of the random waits, and what was slept."""
    ranges, slept = [], []
    monkeypatch.setattr(random, "uniform", lambda *limits: ranges.append(limits) or 7)
    monkeypatch.setattr(time, "sleep", slept.append)
    return ranges, slept


# --- Conflicts --------------------------------------------------------------------------------


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "55P03"])
def test_an_operational_conflict(sqlstate):
    assert is_conflict(of_state(sqlstate))


@pytest.mark.parametrize(
    "error",
    [
        of_state("57014"),  # a canceled statement
        of_state("53100"),  # no space left on the disk
        of_state("40001", DatabaseError),  # not operational
        OperationalError("without a cause"),
        ValueError("40001"),
        of_state("23505", IntegrityError),  # another unique constraint
        of_state("23514", IntegrityError),  # a check
        IntegrityError("without a cause"),
    ],
)
def test_no_conflict(error):
    assert not is_conflict(error)


@pytest.mark.django_db
def test_the_same_award_twice_is_a_conflict():
    award = ScoreHistoryFactory()

    error = raised(lambda: ScoreHistoryFactory(user=award.user, rule=award.rule, run=award.run))

    assert is_conflict(error)


@pytest.mark.django_db
def test_the_same_score_twice_is_no_conflict():
    user = ScoreFactory().user

    assert not is_conflict(raised(lambda: ScoreFactory(user=user)))


@pytest.mark.django_db
def test_a_primary_key_can_be_behind_its_sequence():
    user = ScoreFactory().user

    assert is_sequence_behind(raised(lambda: ScoreFactory(user=user)))


@pytest.mark.django_db
def test_no_other_key_is_behind_a_sequence():
    host = HostFactory()
    same_id = raised(lambda: HostFactory(external_id=host.external_id, username="other"))

    assert not is_sequence_behind(same_id)
    assert not is_sequence_behind(of_state("23514", IntegrityError))


def test_a_row_deleted_meanwhile_is_a_conflict():
    assert is_conflict(of_state("23503", IntegrityError))


# --- Lost connections -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        of_state("08000"),
        of_state("08006"),
        of_state("25P03"),
        of_state("25P04"),
        of_state("57P01"),
        of_state("57P02"),
        of_state("57P03"),
        of_state("57P05"),
        psycopg.errors.AdminShutdown(),  # of psycopg itself, as COPY raises it
        psycopg.OperationalError("the server sent no answer"),
        psycopg.InterfaceError("the connection is closed"),
        caused(InterfaceError("closed"), psycopg.InterfaceError()),
        caused(OperationalError("no answer"), psycopg.OperationalError()),
    ],
)
def test_a_lost_connection(error):
    assert is_connection_lost(error)


@pytest.mark.parametrize(
    "error",
    [
        of_state("40P01"),
        of_state("57014"),
        psycopg.errors.DeadlockDetected(),
        caused(DatabaseError("no state"), psycopg.DatabaseError()),
        caused(OperationalError("another cause"), ValueError("08006")),
        OperationalError("without a cause"),
        ValueError("08006"),
    ],
)
def test_a_connection_that_is_not_lost(error):
    assert not is_connection_lost(error)


@pytest.mark.django_db(transaction=True)
def test_a_terminated_session_is_a_lost_connection():
    def terminate():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    assert is_connection_lost(raised(terminate))
    connection.close()


# --- Retries ----------------------------------------------------------------------------------


def test_work_without_conflict_is_done_once(waits):
    calls = []

    @retry_on_conflict
    def work(number, *, word):
        """What it does."""
        calls.append((number, word))
        return "result"

    assert work(3, word="x") == "result"
    assert (calls, waits) == ([(3, "x")], ([], []))
    assert (work.__name__, work.__doc__) == ("work", "What it does.")


def test_conflicts_are_retried_with_the_same_arguments(waits):
    errors = [of_state("40001"), of_state("55P03")]
    calls = []

    @retry_on_conflict
    def work(number, *, word):
        calls.append((number, word))
        if errors:
            raise errors.pop()
        return "result"

    assert work(3, word="x") == "result"
    assert calls == [(3, "x")] * 3
    assert waits == ([(0, 0.1), (0, 0.2)], [7, 7])


def test_the_last_conflict_is_raised(waits):
    calls = []

    @retry_on_conflict
    def work():
        calls.append(1)
        raise of_state("40P01")

    with pytest.raises(OperationalError):
        work()

    ranges, _ = waits
    assert len(calls) == MAX_TRIES == 5
    assert ranges == [(0, 0.1), (0, 0.2), (0, 0.4), (0, 0.8)]


@pytest.mark.parametrize("error", [of_state("53100"), ValueError("no database error")])
def test_any_other_error_is_raised_at_once(waits, error):
    calls = []

    @retry_on_conflict
    def work():
        calls.append(1)
        raise error

    with pytest.raises(type(error)):
        work()

    assert calls == [1]


def test_a_conflict_is_logged(waits, caplog):
    errors = [caused(OperationalError("deadlock\nDETAIL: more"), of_state("40P01").__cause__)]

    @retry_on_conflict
    def _close():
        if errors:
            raise errors.pop()

    with caplog.at_level(logging.INFO, logger=db_errors.__name__):
        _close()

    assert caplog.messages == ["close met a conflict, try 1: deadlock"]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one\ntwo"), "one"),
        (ValueError("one"), "one"),
        (ValueError(""), "ValueError"),
        (ValueError("\ntwo"), ""),
    ],
)
def test_the_first_line_of_an_error(error, line):
    assert first_line(error) == line
