"""A private server, databases copied from prepared ones, and what is to be seen in them."""

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
from tests.faults.forkserver import ROOT, ForkServer, Outcome, Started
from tests.faults.pg_proxy import Interposer

MONDAY = date(2024, 3, 4)
"""The week in which things happen: any that has ended will do."""

AFTER_RECOVERY = {"I11", "I12", "I13", "I14"}
"""The invariants that a fault may break until the work is done again; no other, at any moment."""

_names = itertools.count(1)


def day(offset: int) -> str:
    return str(MONDAY + timedelta(days=offset))


@dataclass(frozen=True, slots=True)
class State:
    """All that a job leaves behind but its own journal, independent of ids and clocks."""

    ledger: list[tuple[Any, ...]]
    scores: list[tuple[Any, ...]]
    activity: list[tuple[Any, ...]]
    events: list[tuple[Any, ...]]
    unfinished: int
    """Runs that are neither done nor superseded by one that is."""

    @property
    def digest(self) -> str:
        """The hash of the canonical dump of the ledger."""
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
    """SELECT count(*) FROM rewards_awardrun r WHERE status <> 'done' AND NOT EXISTS (
    SELECT 1 FROM rewards_awardrun later WHERE later.status = 'done' AND later.id > r.id
    AND (later.cadence, later.reference_date) = (r.cadence, r.reference_date))""",
]


@dataclass(frozen=True)
class Server:
    """A cluster, and the parent of all commands run on it."""

    local: LocalDatabase
    folder: Path
    commands: ForkServer
    parameters: dict[str, Any] = field(default_factory=dict)

    def start(self) -> None:
        """Start it, when it is not running."""
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
        """A copy for one case, gone afterwards."""
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

    def interposer(self, **kwargs: Any) -> Interposer:
        server = self.server.parameters
        return Interposer(
            server=Path(server["host"]) / f".s.PGSQL.{server['port']}",
            folder=self.server.folder / f"s{next(_names)}",
            **kwargs,
        )

    def start(
        self,
        *argv: str,
        via: Interposer | None = None,
        lock_timeout: str = "5s",
        statement_timeout: str = "0",
        **settings: Any,
    ) -> Started:
        """Start a command of manage.py on this database, perhaps with someone in between."""
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
                "OPTIONS": {"options": timeouts},
            },
            settings=settings,
            environment=self._environment(via, settings),
        )

    def _environment(self, via: Interposer | None, settings: dict[str, Any]) -> dict[str, str]:
        server = self.server.parameters
        host = via.folder if via else server["host"]
        return {
            "DJANGO_SETTINGS_MODULE": "rewards_site.settings",
            "DATABASE_URL": f"postgres://{server['user']}:{server['password']}@/{self.name}"
            f"?host={host}&port={server['port']}",
            "DEBUG": "true",
        } | {name: str(value) for name, value in settings.items()}

    def manage(self, *argv: str, **how: Any) -> Outcome:
        """Run a command, started as in start()."""
        return self.start(*argv, **how).wait()

    def prepare(self, *argv: str, **settings: Any) -> None:
        """Run a command that has to succeed."""
        outcome = self.manage(*argv, **settings)
        assert outcome.code == 0, outcome

    def program(
        self, *argv: str, via: Interposer | None = None, **settings: Any
    ) -> "subprocess.Popen[str]":
        """Start manage.py itself, as a person would."""
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
            ledger, scores, activity, events, [(unfinished,)] = (
                connection.execute(query).fetchall() for query in _STATE
            )
        return State(ledger, scores, activity, events, unfinished)

    def broken(self, **settings: Any) -> set[str]:
        """Return the names of the invariants that do not hold at this moment."""
        outcome = self.manage("verify_ledger", "--format", "json", **settings)
        assert outcome.code in {0, 5}, outcome
        found = json.loads(outcome.out)["invariants"]
        assert found
        return {each["name"] for each in found if each["violations"]}

    def settle(self) -> None:
        """Wait until no process of the server works for a client any more."""
        self.wait_until(lambda: self._processes("true") == 0)

    def waiting(self) -> int:
        """Return how many clients wait for a lock."""
        return self._processes("wait_event_type = 'Lock'")

    def _processes(self, condition: LiteralString) -> int:
        query = sql.SQL("SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND {}")
        with self.server.admin() as admin:
            row = admin.execute(query.format(sql.SQL(condition)), [self.name]).fetchone()
        return int(row[0]) if row else 0

    def wait_until(self, is_so: Callable[[], bool], patience: float = 20) -> None:
        deadline = time.monotonic() + patience
        while not is_so():
            assert time.monotonic() < deadline, f"not so after {patience} s"
            time.sleep(0.005)

    def drop(self) -> None:
        with self.server.admin() as admin:
            admin.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(self.name))
            )


def at(number: int) -> Any:
    return lambda message: message.number == number
