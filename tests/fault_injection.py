"""Run a command that is held or killed at a statement, or that takes no locks.

`python -m tests.fault_injection [--without-locks] [--hold-at SQL] [--die-at SQL] COMMAND ...`

SQL is a part of a statement. Before the first statement that contains it, the process waits for
the barrier or is killed. If no statement contains it, the process ends with NEVER_FIRED. The
product has no hook for this: the wrapper is added to its connections from outside.
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
"""Key of the advisory lock that the test holds while the processes have to wait."""

NEVER_FIRED = 70
"""The exit code of a command that ended without the statement that its fault is for."""

_ADVISORY = re.compile(r"pg_(try_)?advisory_(xact_)?lock(_shared)?\(([^)]*)\)")
_ROW = re.compile(
    r" FOR (NO KEY UPDATE|UPDATE|KEY SHARE|SHARE)( OF \S+)?( SKIP LOCKED| NOWAIT)?$", re.MULTILINE
)

Execute = Callable[..., Any]


class Fault:
    """An execute wrapper that calls `act` once, before the first statement that contains `part`."""

    def __init__(self, part: str, act: Callable[[], None]) -> None:
        self.part = part
        self.act = act
        self.has_fired = False

    def __call__(self, execute: Execute, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not self.has_fired and self.part in str(sql):
            self.has_fired = True
            self.act()
        return execute(sql, params, many, context)


def without_locks(execute: Execute, sql: str, params: Any, many: bool, context: Any) -> Any:
    """Remove every lock from every statement. The constraints alone have to be enough."""
    sql = _ADVISORY.sub(r"(num_nulls(\4) = 0)", str(sql))
    return execute(_ROW.sub("", sql), params, many, context)


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
    faults = []
    if options.hold_at:
        faults.append(Fault(options.hold_at, wait_at_barrier))
    if options.die_at:
        faults.append(Fault(options.die_at, die))
    wrappers = [without_locks, *faults] if options.without_locks else faults

    def add_wrappers(connection: Any, **_: Any) -> None:
        connection.execute_wrappers.extend(wrappers)

    connection_created.connect(add_wrappers)
    try:
        execute_from_command_line([sys.argv[0], *options.command])
    finally:
        for fault in faults:
            if not fault.has_fired:
                print(f"No statement contained {fault.part!r}.", file=sys.stderr)  # noqa: T201
                sys.exit(NEVER_FIRED)


if __name__ == "__main__":
    main()
