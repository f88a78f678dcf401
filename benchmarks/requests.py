"""The cost of an event over HTTP, in CPU of the web process and of PostgreSQL together.

CPU seconds, not response times: they do not depend on what else the machine does. A single event is
the first login of its host, and earns an award. Of several events in a request a third do: each
host has EVENTS_PER_HOST of them.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from statistics import median
from typing import Any

import psutil

from benchmarks import dataset
from benchmarks.bare_view import TABLE
from benchmarks.server import Server
from benchmarks.variants import run_worker

REQUESTS = {1: 600, 100: 30, 1_000: 6}
"""Requests of a round, by the number of events of each."""

WEB = {"REWARDS_SERVE": "api", "SECURE_SSL_REDIRECT": "false"}
"""The environment of a web process that serves the API alone."""

EVENTS_PER_HOST = 3

ANCHOR = "a bare Django view that inserts one row"


def measure(server: Server, *, hosts: int, rounds: int) -> dict[str, Any]:
    """Return microseconds of CPU for each event, by variant."""
    scale = min(1.0, hosts / 10_000)
    requests = {size: max(2, round(number * scale)) for size, number in REQUESTS.items()}
    needed = max(size * (number + 1) for size, number in requests.items())
    dataset.build(server, "requests", hosts=needed, days={})
    with server.connect("requests") as connection:
        connection.execute(TABLE.encode())
    key = run_worker(server, "requests", "create_key").report["key"]
    authorization = {"Authorization": f"Bearer {key}"}

    variants: dict[str, tuple[Sequence[str], int, dict[str, str]]] = {
        ANCHOR: (gunicorn("benchmarks.bare_view:application()"), 1, {}),
        "FastAPI that inserts one row": (_uvicorn("benchmarks.bare_fastapi:app"), 1, {}),
    }
    for size in requests:
        for name, is_live in (("live awards", "true"), ("no live awards", "false")):
            variants[f"{size:,} {'event' if size == 1 else 'events'}, {name}"] = (
                gunicorn("rewards_site.wsgi"),
                size,
                WEB | {"REWARDS_LIVE": is_live},
            )
    taken: dict[str, list[float]] = {}
    for _ in range(rounds):
        for variant, (command, size, environment) in variants.items():
            bodies = _bodies(size, requests[size] + 1)
            address = "/" if "row" in variant else "/api/v1/events"
            with server.copy_of("requests") as name:
                cpu = _cpu_of(server, name, command, environment, address, bodies, authorization)
                events = size * requests[size]
                _require_rows(server, name, variant, size, size * len(bodies))
            taken.setdefault(variant, []).append(1e6 * cpu / events)
    taken["import_activity"] = [_import(server, needed) for _ in range(rounds)]
    return {
        "variants": {
            variant: {
                "microseconds": [round(value, 1) for value in values],
                "median": round(median(values), 1),
            }
            for variant, values in taken.items()
        }
    }


def gunicorn(application: str) -> list[str]:
    return [sys.executable, "-m", "gunicorn", application, "--workers", "1", "--threads", "2"]


def _uvicorn(application: str) -> list[str]:
    return [sys.executable, "-m", "uvicorn", application, "--log-level", "error"]


def _bodies(size: int, number: int) -> list[bytes]:
    """Return bodies with logins of today."""
    now = datetime.now(tz=UTC).isoformat()
    logins = (
        {"event_id": f"e{n}", "user_id": f"host-{host}", "kind": "login", "occurred_at": now}
        for n in range(size * number)
        for host in [_host(n, size)]
    )
    return [json.dumps({"events": [next(logins) for _ in range(size)]}).encode()
            for _ in range(number)]  # fmt: skip


def _host(n: int, size: int) -> int:
    """Return the number of the host of event `n`, from 0, in requests of `size` events."""
    return 1 + (n if size == 1 else n // EVENTS_PER_HOST)


def _cpu_of(
    server: Server,
    name: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    address: str,
    bodies: Sequence[bytes],
    headers: Mapping[str, str],
) -> float:
    """Send the bodies over one connection; return the CPU seconds of all but the first."""
    with serving(server.environment(name) | dict(environment), command) as (process, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        before = 0.0
        for number, body in enumerate(bodies):
            if number == 1:
                before = _cpu(server, process)
            sent = {"Content-Type": "application/json", "Host": "localhost", **headers}
            connection.request("POST", address, body, sent)
            response = connection.getresponse()
            answer = response.read()
            if response.status != 200:
                raise RuntimeError(f"{address} answered {response.status}: {answer[:200]!r}")
        return _cpu(server, process) - before


@contextmanager
def serving(
    environment: Mapping[str, str], command: Sequence[str]
) -> Iterator[tuple[psutil.Process, int]]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    bind = ["--bind", f"127.0.0.1:{port}"] if "gunicorn" in command else ["--port", str(port)]
    started = subprocess.Popen(
        [*command, *bind],
        env=dict(environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while True:
            if started.poll() is not None:
                raise RuntimeError(f"{' '.join(command)} ended with {started.returncode}.")
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield psutil.Process(started.pid), port
    finally:
        os.killpg(started.pid, signal.SIGTERM)
        started.wait()


def _cpu(server: Server, process: psutil.Process | None) -> float:
    """Return the CPU seconds of the web processes, if any, and of PostgreSQL so far."""
    postmaster = server.local.cluster.process()
    assert postmaster is not None  # noqa: S101 - it runs as long as the benchmarks
    total = 0.0
    for parent in filter(None, (process, psutil.Process(postmaster))):
        # Of the processes that have ended, the parent knows the sum.
        times = parent.cpu_times()
        total += times.children_user + times.children_system
        for one in (parent, *parent.children(recursive=True)):
            times = one.cpu_times()
            total += times.user + times.system
    return total


def _require_rows(server: Server, name: str, variant: str, size: int, expected: int) -> None:
    table = "bare_event" if "row" in variant else "rewards_activityevent"
    (stored,) = server.row(name, f"SELECT count(*) FROM {table}")  # noqa: S608 - one of two
    (paid,) = server.row(name, "SELECT count(*) FROM rewards_scorehistory")
    hosts = _host(expected - 1, size) if variant.endswith(", live awards") else 0
    if (stored, paid) != (expected, hosts):
        raise RuntimeError(f"{variant}: stored {stored} of {expected}, paid {paid}.")


def _import(server: Server, events: int) -> float:
    """Return the microseconds of CPU that import_activity takes for each of the same events."""
    file = server.local.cluster.home / "logins.csv"
    now = datetime.now(tz=UTC).isoformat()
    lines = (f"e{n},host-{_host(n, events)},login,{now},0" for n in range(events))
    header = "event_id,user_id,kind,occurred_at,duration_seconds"
    file.write_text("\n".join([header, *lines, ""]))
    file.chmod(0o644)
    with server.copy_of("requests") as name:
        before = _cpu(server, None)
        timing = run_worker(server, name, "command", "import_activity", str(file))
        return 1e6 * ((timing.cpu or 0) + _cpu(server, None) - before) / events


def create_key() -> dict[str, str]:
    """Create a client of the API, and return the text of its key."""
    from django.utils import timezone

    from rewards.services.api_clients import create_client, create_key

    now = timezone.now()
    client = create_client(name="app", source="app", scopes=["events:write"])
    return {"key": create_key(client=client, now=now, today=now.date()).text}
