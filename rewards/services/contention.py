"""Doing a transaction again when other processes were in its way."""

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError, IntegrityError, OperationalError

from rewards.models.ledger import AWARD_ONCE

logger = logging.getLogger(__name__)

MAX_TRIES = 5

_CONTENTION = {
    "40001",  # serialization failure
    "40P01",  # deadlock detected
    "55P03",  # lock not available
}

_PARENT_IS_GONE = "23503"
"""A row was deleted after it was looked up; whoever looks again sees that it is not there."""

Result = TypeVar("Result")


def retried(work: Callable[[], Result], *, label: str) -> Result:
    """Return what `work` returns, a whole transaction that may be done up to MAX_TRIES times.

    Raises what the last try raised, and at once whatever is not another process's doing.
    """
    for tries in range(1, MAX_TRIES):
        try:
            return work()
        except DatabaseError as error:
            if not is_contention(error):
                raise
            logger.info("%s met another process, try %d: %s", label, tries, first_line(error))
            time.sleep(random.uniform(0, 0.05 * 2**tries))  # noqa: S311 - jitter is no secret
    return work()


def is_contention(error: Exception) -> bool:
    """Return whether another process was in the way: the same award, a deadlock, a lock."""
    cause = error.__cause__
    state = getattr(cause, "sqlstate", "")
    if isinstance(error, IntegrityError):
        constraint = getattr(getattr(cause, "diag", None), "constraint_name", None)
        return constraint == AWARD_ONCE or state == _PARENT_IS_GONE
    return isinstance(error, OperationalError) and state in _CONTENTION


def first_line(error: Exception) -> str:
    """Return what `error` says, without the details that PostgreSQL adds."""
    return (str(error).splitlines() or [type(error).__name__])[0]
