"""Servers of the API on a database that may be damaged, and a business day that is open now."""

import http.client
import json
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.faults.databases import Database
from tests.faults.forkserver import Command
from tests.faults.pg_proxy import PgProxy

ZONE = f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"
"""The zone in which it is noon when the tests begin, so that none of them meets midnight."""

TODAY = datetime.now(ZoneInfo(ZONE)).date()

NIGHT = datetime.combine(TODAY + timedelta(days=1), time(0, 5), tzinfo=ZoneInfo(ZONE)).isoformat()
"""When the run of today begins."""

IN_ZONE = {"REWARDS_TIME_ZONE": ZONE}

Event = dict[str, Any]


def event(
    event_id: str, host: str, kind: str = "login", *, seconds: int = 60, day: int = 0
) -> Event:
    """Return an event of a morning, as a request and a file hold it; day -1 is yesterday."""
    morning = datetime.combine(TODAY + timedelta(days=day), time(9), tzinfo=ZoneInfo(ZONE))
    return {
        "event_id": event_id,
        "user_id": host,
        "kind": kind,
        "occurred_at": morning.isoformat(),
        "duration_seconds": 0 if kind == "login" else seconds,
    }


def write_events(path: Path, events: Sequence[Event]) -> str:
    path.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    return str(path)


def import_events(database: Database, events: Sequence[Event]) -> None:
    path = write_events(database.server.folder / f"{database.name}.jsonl", events)
    database.prepare("import_activity", path, "--create-hosts", "--source", "app", **IN_ZONE)


def set_rules(database: Database, *, starts_on: date = TODAY) -> None:
    for rule_type, threshold, points in (
        ("DAILY_LOGIN", 1, 10),
        ("DAILY_AUDIO_CALL_TARGET", 2, 25),
        ("DAILY_VIDEO_CALL_TARGET", 1, 40),
    ):
        database.prepare(
            "set_rule", rule_type, "--threshold", str(threshold), "--points", str(points),
            "--starts-on", str(starts_on), **IN_ZONE,
        )  # fmt: skip


def create_key(database: Database) -> str:
    """Create a client whose events create hosts; return its key."""
    outcome = database.manage(
        "api_key", "create", "app", "--client", "App", "--creates-hosts",
        "--scope", "events:write", "--format", "json",
    )  # fmt: skip
    assert outcome.code == 0, outcome
    return str(json.loads(outcome.out)["key"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a client received for a request."""

    status: int
    """0 if the connection ended without an answer."""
    body: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """gunicorn on a socket. It replaces a worker that has died."""

    address: Path
    key: str
    command: Command

    def post(self, events: Sequence[Event]) -> Answer:
        """Send events on a connection of their own."""
        connection = _Connection(self.address)
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        try:
            connection.request("POST", "/api/v1/events", json.dumps({"events": events}), headers)
            response = connection.getresponse()
            return Answer(status=response.status, body=json.loads(response.read()))
        except (http.client.RemoteDisconnected, ConnectionError):
            return Answer(status=0, body={})
        finally:
            connection.close()

    def has_answered(self) -> bool:
        connection = _Connection(self.address)
        try:
            connection.request("GET", "/livez")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


class _Connection(http.client.HTTPConnection):
    def __init__(self, address: Path) -> None:
        super().__init__("localhost", timeout=600)
        self.address = address

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.address))


@contextmanager
def serving(
    database: Database, key: str, *, via: PgProxy | None = None, workers: int = 1, **settings: Any
) -> Iterator[Api]:
    """Serve the API with sync workers, one request each; kill them after the block."""
    address = database.server.folder / f"{database.name}.api"
    command = database.start(
        "rewards_site.wsgi", "--bind", f"unix:{address}", "--workers", str(workers),
        "--graceful-timeout", "1", "--log-level", "warning",
        program="gunicorn", via=via, **IN_ZONE, **settings,
    )  # fmt: skip
    api = Api(address=address, key=key, command=command)
    try:
        database.wait_until(api.has_answered)
        yield api
    finally:
        os.kill(command.pid, signal.SIGTERM)
        command.wait()
