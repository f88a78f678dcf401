"""Database errors by SQLSTATE: conflicts, which are retried, and lost connections."""

import functools
import logging
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import psycopg
from django.db import DatabaseError, IntegrityError, OperationalError

from rewards.exceptions import RewardsError
from rewards.models.ledger import AWARD_ONCE

logger = logging.getLogger(__name__)

MAX_TRIES = 5

LOCK_TIMEOUT = "2s"
"""How long a request waits for a lock. The app waits with it, so less than a run does."""

_CONFLICT = {
    "40001",  # serialization failure
    "40P01",  # deadlock detected
    "55P03",  # lock not available
}

_RUN_HAS_ENDED = "55000"
"""Raised by the ledger's trigger: object not in prerequisite state."""

_FOREIGN_KEY_VIOLATION = "23503"
"""A row was deleted after it was looked up; a retry does not find it."""

_SESSION_ENDED = {
    "25P03",  # idle-in-transaction timeout
    "25P04",  # transaction timeout
    "57P01",  # the server shuts down, or the session was terminated
    "57P02",  # another session crashed the server
    "57P03",  # the server is starting or stopping
    "57P05",  # idle-session timeout
}

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def retry_on_conflict(
    work: Callable[Parameters, Result], *, max_tries: int = MAX_TRIES
) -> Callable[Parameters, Result]:
    """Decorate a function that is a whole transaction: retry it on conflicts, `max_tries` in all.

    Raises the error of the last try, and any error that is no conflict at once.
    """

    @functools.wraps(work)
    def retried(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        for tries in range(1, max_tries):
            try:
                return work(*args, **kwargs)
            except DatabaseError as error:
                if not is_conflict(error):
                    raise
                wait_after_conflict(error, work=work.__name__, tries=tries)
        return work(*args, **kwargs)

    return retried


def retry_chunk_on_conflict(store: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Decorate what stores a chunk of a file as retry_on_conflict().

    Raises RewardsError after the last conflict.
    """
    retried = retry_on_conflict(store)

    @functools.wraps(store)
    def stored(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return retried(*args, **kwargs)
        except DatabaseError as error:
            if not is_conflict(error):
                raise
            raise RewardsError(
                f"Gave up after {MAX_TRIES} conflicts with other processes: {first_line(error)}. "
                "The rows before were stored; safe to run again."
            ) from error

    return stored


def wait_after_conflict(error: Exception, *, work: str, tries: int) -> None:
    """Log a conflict, and wait for a random time that grows with the number of tries."""
    logger.info("%s met a conflict, try %d: %s", work.strip("_"), tries, first_line(error))
    time.sleep(random.uniform(0, 0.05 * 2**tries))  # noqa: S311 - jitter is no secret


def is_conflict(error: Exception) -> bool:
    """Return whether another process caused the error: the same award, a deadlock, a lock."""
    cause = error.__cause__
    state = getattr(cause, "sqlstate", "")
    if isinstance(error, IntegrityError):
        constraint = getattr(getattr(cause, "diag", None), "constraint_name", None)
        return constraint == AWARD_ONCE or state == _FOREIGN_KEY_VIOLATION
    return isinstance(error, OperationalError) and state in _CONFLICT


def has_run_ended(error: Exception) -> bool:
    """Return whether the ledger refused an award because its run has ended or is held."""
    return getattr(error.__cause__, "sqlstate", "") == _RUN_HAS_ENDED


def is_sequence_behind(error: BaseException) -> bool:
    """Return whether a new row got a primary key that exists, as after a restore of rows alone."""
    cause = error if isinstance(error, psycopg.Error) else error.__cause__
    return isinstance(cause, psycopg.errors.UniqueViolation) and str(
        cause.diag.constraint_name
    ).endswith("_pkey")


def sequence_behind(table: str) -> str:
    """Return the sentence about is_sequence_behind()."""
    return (
        f"The sequence of {table} is behind its rows, as after a restore of the rows alone; run "
        "`manage.py sqlsequencereset rewards | manage.py dbshell`."
    )


def interruption(error: BaseException | None) -> KeyboardInterrupt | None:
    """Return the Ctrl-C or SIGTERM that led to `error`, if one did.

    After a signal between a query and its reply the connection takes no further statement. The
    error of Django, which then tries to end the transaction, hides the signal.
    """
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error


def is_connection_lost(error: BaseException) -> bool:
    """Return whether the connection broke, so that the outcome of a commit is unknown.

    The connection object does not tell: Django reconnects on leaving atomic(), but the locks of
    the old session are released.
    """
    if interruption(error) is not None:
        return True
    cause = error if isinstance(error, psycopg.Error) else error.__cause__
    if isinstance(cause, psycopg.InterfaceError):
        return True
    if not isinstance(cause, psycopg.Error):
        return False
    state = cause.sqlstate
    if state is None:  # the server sent no answer
        return isinstance(cause, psycopg.OperationalError)
    return state.startswith("08") or state in _SESSION_ENDED


def first_line(error: Exception) -> str:
    """Return the message of `error` without the details that PostgreSQL adds."""
    return (str(error).splitlines() or [type(error).__name__])[0]
