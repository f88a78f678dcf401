"""A load on the API, to see that it loses nothing, beside a run and when PostgreSQL crashes.

    python -m tests.load [--seconds N] [--clients N]

Clients send events to gunicorn as in production, with live awards on. Each sends again what was
not answered, with the same ids. After a third of the time the run of yesterday begins and moves
all scores to its day; after two thirds PostgreSQL crashes and restarts. Then the night comes.
Prints the rates, and ends with 1 when anything was lost.
"""

import argparse
import http.client
import itertools
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any

import psycopg

from localservers.postgresql.database import LocalDatabase
from localservers.temporary import temporary_servers

ROOT = Path(__file__).resolve().parent.parent

HOSTS = 2_000
"""Hosts of yesterday. Events name as many again, which they create."""

WORKERS, THREADS = 3, 4

PAUSE_SECONDS = 0.2
"""Before a client sends again."""

TIMEOUT_SECONDS = 60
"""How long clients send again after the end."""

_AT_A_TIME = """
import sys
from datetime import datetime
from django.core.management import execute_from_command_line
from django.utils import timezone
at = datetime.fromisoformat(sys.argv.pop(1))
timezone.now = lambda: at
execute_from_command_line(sys.argv)
"""


@dataclass
class Client:
    """An app that sends one request after the other, until `deadline`, and repeats the lost."""

    number: int
    port: int
    key: str
    deadline: float
    sent: set[str] = field(default_factory=set)
    unanswered: set[str] = field(default_factory=set)
    awards: list[tuple[str, str, str]] = field(default_factory=list)
    """(host, rule type, date) of the answers."""
    seconds: list[float] = field(default_factory=list)
    """The time of each request that was answered with 200."""
    outcomes: Counter[str] = field(default_factory=Counter)
    connection: http.client.HTTPConnection | None = None

    def work(self) -> None:
        rng = random.Random(self.number)
        for request in itertools.count():
            if time.monotonic() > self.deadline:
                return
            size = 20 if rng.random() < 0.1 else 1
            events = [self._event(f"{self.number}-{request}-{n}", rng) for n in range(size)]
            ids = {event["event_id"] for event in events}
            self.sent |= ids
            self.unanswered |= ids
            while not self._post(events):
                if time.monotonic() > self.deadline + TIMEOUT_SECONDS:
                    return
                time.sleep(PAUSE_SECONDS)
            self.unanswered -= ids

    def _event(self, event_id: str, rng: random.Random) -> dict[str, Any]:
        kind = rng.choice(["login", "audio_call", "video_call"])
        return {
            "event_id": event_id,
            "user_id": f"host-{rng.randrange(2 * HOSTS)}",
            "kind": kind,
            "occurred_at": datetime.now(UTC).isoformat(),
            "duration_seconds": 0 if kind == "login" else 60,
        }

    def _post(self, events: list[dict[str, Any]]) -> bool:
        """Return whether the request was answered, and need not be sent again."""
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        began = time.monotonic()
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            self.connection.request(
                "POST", "/api/v1/events", json.dumps({"events": events}), headers
            )
            response = self.connection.getresponse()
            body = json.loads(response.read())
        except (OSError, http.client.HTTPException) as error:
            self.connection = None
            self.outcomes[type(error).__name__] += 1
            return False
        self.outcomes[str(response.status)] += 1
        if response.status >= 500:
            return False
        if response.status != 200 or body["problems"]:
            raise AssertionError(f"{response.status}: {body}")
        self.seconds.append(time.monotonic() - began)
        self.awards += [
            (award["user_id"], award["rule_type"], award["reference_date"])
            for award in body["awards"]
        ]
        return True


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A private server with a database, and the programs of a deployment on it."""

    folder: Path
    local: LocalDatabase

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "DJANGO_SETTINGS_MODULE": "rewards_site.settings",
            "DATABASE_URL": self.local.url(),
            "DEBUG": "false",
            "SECRET_KEY": secrets.token_urlsafe(64),
            "ALLOWED_HOSTS": "127.0.0.1",
            "SECURE_SSL_REDIRECT": "false",
            "REWARDS_SERVE": "api",
            "LOG_LEVEL": "ERROR",
        }

    def manage(self, *argv: str, at: datetime | None = None) -> str:
        """Run a command, perhaps at another time; return its output."""
        program = ["manage.py"] if at is None else ["-c", _AT_A_TIME, at.isoformat()]
        return subprocess.run(
            [sys.executable, *program, *argv],
            cwd=ROOT,
            env=self.environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.local.url()) as connection:
            return connection.execute(statement.encode()).fetchall()

    def sessions(self) -> int:
        return len(
            self.query(
                "SELECT FROM pg_stat_activity WHERE datname = current_database()"
                " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
        )

    def prepare(self, today: datetime) -> str:
        """Award the day before yesterday, import yesterday; return a key of the API."""
        self.manage("migrate", "--verbosity", "0")
        day_before, yesterday = (today - timedelta(days=days) for days in (2, 1))
        for rule_type, threshold, points in (
            ("DAILY_LOGIN", 1, 10),
            ("DAILY_AUDIO_CALL_TARGET", 2, 25),
            ("DAILY_VIDEO_CALL_TARGET", 3, 40),
        ):
            self.manage(
                "set_rule", rule_type, "--threshold", str(threshold), "--points", str(points),
                "--starts-on", f"{day_before:%F}",
            )  # fmt: skip
        lines = ["event_id,user_id,kind,occurred_at,duration_seconds"]
        lines += [
            f"before-{day:%F}-{host},host-{host},login,{day:%F}T12:00:00Z,0"
            for day in (day_before, yesterday)
            for host in range(HOSTS)
        ]
        file = self.folder / "before.csv"
        file.write_text("\n".join([*lines, ""]))
        self.manage("import_activity", str(file), "--create-hosts", "--source", "app")
        self.manage("award_daily", "--date", f"{day_before:%F}")
        created = self.manage(
            "api_key", "create", "app", "--client", "App", "--scope", "events:write",
            "--creates-hosts", "--format", "json",
        )  # fmt: skip
        return str(json.loads(created)["key"])


def run(trial: Trial, *, seconds: float, clients: int) -> list[str]:
    """Run the load and print its rates; return what was lost or is wrong, one sentence each."""
    today = datetime.now(UTC)
    key = trial.prepare(today)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = trial.folder / "gunicorn.log"
    with log.open("wb") as out:
        web = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "rewards_site.wsgi"),
                *("--bind", f"127.0.0.1:{port}", "--timeout", "60"),
                *("--workers", str(WORKERS), "--threads", str(THREADS)),
            ],
            cwd=ROOT,
            env=trial.environment,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        while not is_ready(port):
            if web.poll() is not None:
                raise AssertionError(log.read_text())
            time.sleep(0.1)
        began = time.monotonic()
        apps = [Client(n, port, key, deadline=began + seconds) for n in range(clients)]
        threads = [threading.Thread(target=app.work) for app in apps]
        for thread in threads:
            thread.start()
        disturbed = disturb(trial, began, seconds)
        for thread in threads:
            thread.join()
        took = time.monotonic() - began
        still_open = trial.sessions()
    finally:
        os.killpg(web.pid, signal.SIGTERM)
        web.wait()
    report(apps, disturbed, took)
    return problems(trial, apps, log.read_text(), still_open, today)


def is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def disturb(trial: Trial, began: float, seconds: float) -> dict[str, float]:
    """Award yesterday, then crash PostgreSQL; return the seconds that each has taken."""
    taken = {}
    for part, name, work in (
        (1 / 3, "run of yesterday", lambda: trial.manage("award_due")),
        (2 / 3, "crash and restart of PostgreSQL", lambda: restart(trial.local)),
    ):
        time.sleep(max(0.0, began + part * seconds - time.monotonic()))
        start = time.monotonic()
        work()
        taken[name] = time.monotonic() - start
    return taken


def restart(local: LocalDatabase) -> None:
    """Shut PostgreSQL down as after a kill, and start it: what was committed has to be there."""
    process = local.cluster.process()
    assert process is not None
    os.kill(process, signal.SIGQUIT)
    while local.cluster.process() is not None:
        time.sleep(0.01)
    local.ensure_running()


def report(apps: list[Client], disturbed: dict[str, float], took: float) -> None:
    events = sum(len(app.sent) - len(app.unanswered) for app in apps)
    times = sorted(itertools.chain.from_iterable(app.seconds for app in apps))
    cuts = quantiles(times, n=100)
    outcomes = sum((app.outcomes for app in apps), Counter[str]())
    lines = {
        "clients": f"{len(apps)}",
        "seconds": f"{took:.0f}",
        "requests answered": f"{len(times):,}, {len(times) / took:,.0f} a second",
        "events stored": f"{events:,}, {events / took:,.0f} a second",
        "awards paid live": f"{sum(len(app.awards) for app in apps):,}",
        "milliseconds": f"p50 {1e3 * cuts[49]:.0f}, p99 {1e3 * cuts[98]:.0f}, "
        f"longest {1e3 * times[-1]:.0f}",
        "outcomes": ", ".join(f"{name} {n:,}" for name, n in sorted(outcomes.items())),
        **{name: f"{seconds:.1f} seconds" for name, seconds in disturbed.items()},
    }
    sys.stdout.writelines(f"{name}: {value}\n" for name, value in lines.items())


def problems(
    trial: Trial, apps: list[Client], log: str, still_open: int, today: datetime
) -> list[str]:
    found = []
    sent = set[str]().union(*(app.sent for app in apps))
    unanswered = set[str]().union(*(app.unanswered for app in apps))
    stored = {
        event_id
        for (event_id,) in trial.query(
            "SELECT event_id FROM rewards_activityevent WHERE event_id NOT LIKE 'before-%'"
        )
    }
    if unanswered:
        found.append(f"{len(unanswered)} events were never answered.")
    if lost := sent - unanswered - stored:
        found.append(f"{len(lost)} answered events are not stored.")
    if stored - sent:
        found.append(f"{len(stored - sent)} stored events were not sent.")

    answered = Counter(itertools.chain.from_iterable(app.awards for app in apps))
    paid = Counter(
        (host, rule_type, str(day))
        for host, rule_type, day in trial.query(
            "SELECT external_id, rule_type, reference_date FROM rewards_scorehistory"
            " JOIN rewards_user ON rewards_user.id = user_id"
        )
    )
    if more := answered - paid:
        found.append(f"{more.total()} answered awards are not in the ledger.")

    if "Traceback" in log:
        found.append(f"The log has a traceback:\n{log}")
    if still_open > WORKERS * THREADS:
        found.append(f"{still_open} connections are open for {WORKERS * THREADS} threads.")
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while (left := trial.sessions()) and time.monotonic() < deadline:
        time.sleep(0.1)
    if left:
        found.append(f"{left} connections are left open.")

    night = today.replace(hour=0, minute=5) + timedelta(days=2)
    trial.manage("award_due", at=night)
    try:
        trial.manage("verify_ledger", at=night)
    except subprocess.CalledProcessError as error:
        found.append(f"verify_ledger: {error.stdout}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600, help="default: %(default)s")
    parser.add_argument("--clients", type=int, default=32, help="default: %(default)s")
    options = parser.parse_args()
    with temporary_servers(prefix="rewards-load-") as folder:
        trial = Trial(
            folder=folder, local=LocalDatabase(folder / "db", name="rewards", durable=True)
        )
        found = run(trial, seconds=options.seconds, clients=options.clients)
    sys.stdout.writelines(f"{problem}\n" for problem in found or ["Nothing was lost."])
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
