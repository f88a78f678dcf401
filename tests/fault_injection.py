"""A command in a process of its own that is held, killed, or run without its locks.

`python -m tests.fault_injection [--without-locks] [--hold-at SQL] [--die-at SQL] COMMAND ...`

SQL is a part of the statement before which the process waits for the barrier, or is killed, the
first time only. The product has no hook for this: it is done to its connection from outside.
"""

import argparse
import os
import re
import signal
import sys
from collections.abc import Callable
from typing import Any

import psycopg
from django.core.management import execute_from_command_line
from django.db.backends.signals import connection_created

BARRIER = 4_711
"""Key of the advisory lock that whoever holds the processes back has taken."""

_ADVISORY = re.compile(r"pg_(try_)?advisory_(xact_)?lock(_shared)?\(([^)]*)\)")
_ROW = re.compile(
    r" FOR (NO KEY UPDATE|UPDATE|KEY SHARE|SHARE)( OF \S+)?( SKIP LOCKED| NOWAIT)?$", re.MULTILINE
)

Execute = Callable[..., Any]


def without_locks(execute: Execute, sql: str, params: Any, many: bool, context: Any) -> Any:
    """Take every lock out of every statement: what is left must be safe by itself."""
    sql = _ADVISORY.sub(r"(num_nulls(\4) = 0)", str(sql))
    return execute(_ROW.sub("", sql), params, many, context)


def before(part: str, act: Callable[[], None]) -> Execute:
    """Return a wrapper that calls `act` before the first statement that holds `part`."""
    is_due = True

    def wrapper(execute: Execute, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal is_due
        if is_due and part in str(sql):
            is_due = False
            act()
        return execute(sql, params, many, context)

    return wrapper


def wait_at_barrier() -> None:
    with psycopg.connect(os.environ["DATABASE_URL"]) as session:
        session.execute("SELECT pg_advisory_lock_shared(%s)", [BARRIER])


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--without-locks", action="store_true")
    parser.add_argument("--hold-at", metavar="SQL")
    parser.add_argument("--die-at", metavar="SQL")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    wrappers: list[Execute] = []
    if options.without_locks:
        wrappers.append(without_locks)
    if options.hold_at:
        wrappers.append(before(options.hold_at, wait_at_barrier))
    if options.die_at:
        wrappers.append(before(options.die_at, die))

    def disturb(connection: Any, **_: Any) -> None:
        connection.execute_wrappers.extend(wrappers)

    connection_created.connect(disturb)
    execute_from_command_line([sys.argv[0], *options.command])


if __name__ == "__main__":
    main()
