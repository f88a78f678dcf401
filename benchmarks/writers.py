"""Writers beside each other: the totals of a day, and requests while idle scores roll over."""

import http.client
import json
import re
import subprocess
import threading
import time
from datetime import UTC, datetime
from statistics import quantiles
from typing import Any

from benchmarks import dataset
from benchmarks.requests import WEB, gunicorn, serving
from benchmarks.server import Server
from benchmarks.variants import run_worker
from localservers.postgresql.programs import find_programs

WRITERS = 32
SECONDS = 8
"""Of each measurement of the rate, and of undisturbed requests."""

_PLACEHOLDER = re.compile(r"%\((\w+)\)s")


def measure(server: Server, *, hosts: int, rounds: int) -> dict[str, Any]:
    """Return the rate of WRITERS with and without totals, and the p99 of requests, in ms."""
    seconds = SECONDS if hosts >= 10_000 else 1
    dataset.build(server, "writers", hosts=hosts, days={})
    sql = run_worker(server, "writers", "statements_of_a_writer").report
    rates: dict[str, list[float]] = {"with totals": [], "without totals": []}
    for _ in range(rounds):
        for variant, taken in rates.items():
            with server.copy_of("writers") as name:
                if variant == "without totals":
                    with server.connect(name) as connection:
                        connection.execute(sql["drop totals"])
                taken.append(_rate(server, name, sql["store"], hosts=hosts, seconds=seconds))
    waits = [_waits(server, hosts=hosts, seconds=seconds) for _ in range(rounds)]
    return {
        "rates": rates,
        "undisturbed": [undisturbed for undisturbed, _ in waits],
        "roll-over": [rolling for _, rolling in waits],
    }


def statements_of_a_writer() -> dict[str, str]:
    """Return the SQL that stores an event, and that which drops the triggers of the totals."""
    from rewards.models.database_rules import TOTALS
    from rewards.services.activity.storing import STORE_ARRAYS

    return {"store": STORE_ARRAYS, "drop totals": "".join(t.drop_sql for t in TOTALS)}


def _rate(server: Server, name: str, store: str, *, hosts: int, seconds: int) -> float:
    """Return how many events WRITERS store in a second, each with a statement, by pgbench."""
    values = {
        "line": "ARRAY[0]",
        "business_date": f"ARRAY[date '{dataset.DAY}']",
        "event_id": "ARRAY['e-' || :client_id::text || '-' || :event::text]",
        "external_id": "ARRAY['host-' || :host::text]",
        "kind": "ARRAY['audio_call']",
        "occurred_at": f"ARRAY[timestamptz '{dataset.DAY} 12:00Z']",
        "seconds": "ARRAY[60]",
        "lock_timeout": "'10s'",
        "source": "'app'",
        "min_call_seconds": "1",
    }
    statement = _PLACEHOLDER.sub(lambda match: values[match[1]], store)
    script = server.local.cluster.home / "store.sql"
    script.write_text(
        f"\\set host random(1, {hosts})\n\\set event random(1, 1000000000000)\n"
        + " ".join(statement.split())
        + ";\n"
    )
    command = [
        find_programs().path("pgbench"), "--no-vacuum", "--protocol=prepared",
        f"--client={WRITERS}", "--jobs=2", f"--time={seconds}", f"--file={script}",
        server.url(name),
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"^tps = ([0-9.]+)", result.stdout, re.MULTILINE)
    assert found is not None  # noqa: S101 - pgbench has ended well
    return float(found[1])


def _waits(server: Server, *, hosts: int, seconds: int) -> tuple[float, float]:
    """Return the p99 in milliseconds of single logins: undisturbed, and during a roll-over."""
    with server.copy_of("writers") as name:
        key = run_worker(server, name, "create_key").report["key"]
        with serving(server.environment(name) | WEB, gunicorn("rewards_site.wsgi")) as (_, port):
            sender = _Sender(port, key, hosts)
            sender.send_for(seconds / 2)  # connects, opens the live run
            before = sender.send_for(seconds)
            rolling = threading.Thread(target=run_worker, args=(server, name, "roll_over"))
            rolling.start()
            during = []
            while rolling.is_alive():
                during += sender.send_for(0.2)
    return _p99(before), _p99(during)


def _p99(times: list[float]) -> float:
    return 1_000 * quantiles(times, n=100)[-1]


class _Sender:
    """Sends logins of today, each of another host, one after the other."""

    def __init__(self, port: int, key: str, hosts: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            "Host": "localhost",
        }
        self.hosts = hosts
        self.sent = 0

    def send_for(self, seconds: float) -> list[float]:
        """Return the seconds that each request took."""
        times = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            self.sent += 1
            login = {
                "event_id": f"login:{self.sent}",
                # From the last host on, so that the roll-over meets them last.
                "user_id": f"host-{self.hosts - self.sent % self.hosts}",
                "kind": "login",
                "occurred_at": datetime.now(tz=UTC).isoformat(),
            }
            began = time.perf_counter()
            self.connection.request(
                "POST", "/api/v1/events", json.dumps({"events": [login]}), self.headers
            )
            response = self.connection.getresponse()
            response.read()
            times.append(time.perf_counter() - began)
            if response.status != 200:
                raise RuntimeError(f"A login was answered with {response.status}.")
        return times


def roll_over() -> dict[str, Any]:
    """Move all scores to yesterday, as the run of yesterday does when it closes."""
    from django.utils import timezone

    from rewards.choices import Cadence
    from rewards.engine.business_days import ONE_DAY
    from rewards.engine.periods import Period
    from rewards.selectors.time_zone import business_date
    from rewards.services import scores

    scores.roll_over(period=Period(Cadence.DAILY, business_date(timezone.now()) - ONE_DAY))
    return {}
