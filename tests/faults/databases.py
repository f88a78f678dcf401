"""A private server, databases copied from prepared ones, and what a test reads from them."""

import hashlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from localservers.postgresql.database import LocalDatabase
from tests.faults.forkserver import ROOT, TIMEOUT_SECONDS, Command, ForkServer, Outcome
from tests.faults.pg_proxy import Message, PgProxy

MONDAY = date(2024, 3, 4)
"""The first day of the prepared week. Any week that has ended would do."""

RECOVERABLE = {"I11", "I12", "I13", "I14"}
"""The invariants that a fault may break until the work is done again; no other, at any time."""

_names = itertools.count(1)


def day(offset: int) -> str:
    return str(MONDAY + timedelta(days=offset))


def at(number: int) -> Callable[[Message], bool]:
    """Return a condition for the n-th message."""
    return lambda message: message.number == number


@dataclass(frozen=True, slots=True)
class State:
    """What a job leaves behind except its journal, independent of ids and clocks."""

    ledger: list[tuple[Any, ...]]
    scores: list[tuple[Any, ...]]
    activity: list[tuple[Any, ...]]
    events: list[tuple[Any, ...]]
    rules: list[tuple[Any, ...]]
    hosts: list[tuple[Any, ...]]
    unfinished: int
    """Runs that are neither done nor followed by a done run of the same period."""

    @property
    def digest(self) -> str:
        """The hash of the ledger."""
        return hashlib.sha256(repr(self.ledger).encode()).hexdigest()


_STATE = [
    """SELECT external_id, rule_type, reference_date, points, measured, threshold
    FROM rewards_scorehistory JOIN rewards_user ON rewards_user.id = user_id ORDER BY 1, 2, 3""",
    """SELECT external_id, lifetime, daily, daily_date, weekly, week_start
    FROM rewards_score JOIN rewards_user ON rewards_user.id = user_id ORDER BY 1""",
    """SELECT external_id, date, logins, audio_calls, video_calls, audio_seconds, video_seconds
    FROM rewards_dailyactivity JOIN rewards_user ON rewards_user.id = user_id ORDER BY 1, 2""",
    """SELECT source, event_id, external_id, kind, occurred_at, duration_seconds, business_date
    FROM rewards_activityevent JOIN rewards_user ON rewards_user.id = user_id ORDER BY 1, 2""",
    """SELECT rule_type, starts_on, threshold, points, is_active
    FROM rewards_rewardrule ORDER BY 1, 2""",
    """SELECT external_id, is_host, first_name, last_name, left_on
    FROM rewards_user ORDER BY 1""",
    """SELECT count(*) FROM rewards_awardrun r WHERE status <> 'done' AND NOT EXISTS (
    SELECT 1 FROM rewards_awardrun later WHERE later.status = 'done' AND later.id > r.id
    AND (later.cadence, later.reference_date) = (r.cadence, r.reference_date))""",
]


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server, and the parent process of all commands that use it."""

    local: LocalDatabase
    folder: Path
    commands: ForkServer
    parameters: dict[str, Any] = field(default_factory=dict)

    def start(self) -> None:
        """Start the server unless it is running."""
        self.parameters.update(self.local.ensure_running())

    def admin(self, dbname: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(**self.parameters | {"dbname": dbname}, autocommit=True)

    def database(self, *, like: str = "template0") -> "Database":
        """Return a new database, a copy of another one."""
        name = f"case_{next(_names)}"
        with self.admin() as admin:
            admin.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                    sql.Identifier(name), sql.Identifier(like)
                )
            )
        return Database(server=self, name=name)

    @contextmanager
    def copy(self, original: "Database") -> Iterator["Database"]:
        """Create a copy for one case, and drop it after the block."""
        database = self.database(like=original.name)
        try:
            yield database
        finally:
            database.drop()


@dataclass(frozen=True)
class Database:
    server: Server
    name: str

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        return self.server.admin(self.name)

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            return connection.execute(statement, values or None).fetchall()

    def execute(self, statement: str, *values: Any) -> None:
        with self.connect() as connection:
            connection.execute(statement, values or None)

    def proxy(self, **kwargs: Any) -> PgProxy:
        server = self.server.parameters
        return PgProxy(
            server=Path(server["host"]) / f".s.PGSQL.{server['port']}",
            folder=self.server.folder / f"s{next(_names)}",
            **kwargs,
        )

    def start(
        self,
        *argv: str,
        via: PgProxy | None = None,
        lock_timeout: str = f"{TIMEOUT_SECONDS}s",
        statement_timeout: str = "0",
        program: str = "manage.py",
        clock: str | None = None,
        **settings: Any,
    ) -> Command:
        """Start a command of manage.py, or gunicorn, on this database, perhaps through a proxy."""
        server = self.server.parameters
        timeouts = f"-c lock_timeout={lock_timeout} -c statement_timeout={statement_timeout}"
        return self.server.commands.start(
            *argv,
            database={
                "NAME": self.name,
                "USER": server["user"],
                "PASSWORD": server["password"],
                "HOST": str(via.folder) if via else server["host"],
                "PORT": server["port"],
                "OPTIONS": {"options": timeouts, "prepare_threshold": 2**31},
            },
            settings=settings,
            environment=self._environment(via, settings),
            program=program,
            clock=clock,
        )

    def _environment(self, via: PgProxy | None, settings: dict[str, Any]) -> dict[str, str]:
        server = self.server.parameters
        host = via.folder if via else server["host"]
        return {
            "DJANGO_SETTINGS_MODULE": "rewards_site.settings",
            "DATABASE_URL": f"postgres://{server['user']}:{server['password']}@/{self.name}"
            f"?host={host}&port={server['port']}",
            "DEBUG": "true",
        } | {name: str(value) for name, value in settings.items()}

    def manage(self, *argv: str, **how: Any) -> Outcome:
        """Run a command; the arguments are those of start()."""
        return self.start(*argv, **how).wait()

    def prepare(self, *argv: str, **settings: Any) -> None:
        """Run a command that has to succeed."""
        outcome = self.manage(*argv, **settings)
        assert outcome.code == 0, outcome

    def start_program(
        self, *argv: str, via: PgProxy | None = None, **settings: Any
    ) -> "subprocess.Popen[str]":
        """Start manage.py itself, without the fork server."""
        return subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), *argv],
            env=os.environ | self._environment(via, settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def state(self) -> State:
        with self.connect() as connection:
            ledger, scores, activity, events, rules, hosts, [(unfinished,)] = (
                connection.execute(query).fetchall() for query in _STATE
            )
        return State(ledger, scores, activity, events, rules, hosts, unfinished)

    def violations(self, **settings: Any) -> set[str]:
        """Return the names of the invariants that do not hold now."""
        outcome = self.manage("verify_ledger", "--format", "json", **settings)
        assert outcome.code in {0, 5}, outcome
        invariants = json.loads(outcome.out)["invariants"]
        assert invariants
        return {invariant["name"] for invariant in invariants if invariant["violations"]}

    def wait_until_idle(self) -> None:
        """Wait until no server process works for a client."""
        self.wait_until(lambda: self.sessions() == 0)

    def sessions(self) -> int:
        """Return how many clients are connected."""
        return self._count_sessions("true")

    def waiting(self) -> int:
        """Return how many clients wait for a lock."""
        return self._count_sessions("wait_event_type = 'Lock'")

    def _count_sessions(self, condition: LiteralString) -> int:
        query = sql.SQL("SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND {}")
        with self.server.admin() as admin:
            row = admin.execute(query.format(sql.SQL(condition)), [self.name]).fetchone()
        return int(row[0]) if row else 0

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, self.query(
                "SELECT state, wait_event, query FROM pg_stat_activity"
            )
            time.sleep(0.005)

    def drop(self) -> None:
        with self.server.admin() as admin:
            admin.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(self.name))
            )
