"""Response times of the API's reads at 1% and at 100% of the hosts, ten awards per host."""

import time
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from benchmarks import dataset
from benchmarks.server import Server
from benchmarks.variants import run_worker

DAYS = 7
SHARE = 0.6
"""Share of the hosts active each day, as for the pages of the admin."""

NOW = datetime(2025, 3, 17, 12, tzinfo=UTC)
"""The noon after the seven days: the first of a week."""

REQUESTS = 50
"""Requests of each address in a round, each of another host."""

RANKING = "ranking of a week that has ended"
"""The only read that sums the ledger, so its time grows with it; it has a time limit."""


def measure(server: Server, *, hosts: int, rounds: int) -> dict[str, Any]:
    """Return the milliseconds of each read at both sizes, and the ratio of the two."""
    days = [dataset.MONDAY + timedelta(days=number) for number in range(DAYS)]
    sizes = {"small": max(5, hosts // 100), "large": hosts}
    reads: dict[str, dict[str, float]] = {}
    for size, number in sizes.items():
        dataset.build(server, size, hosts=number, days=dict.fromkeys(days, SHARE))
        run_worker(server, size, "command", "award_due")
        dataset.vacuum(server, size)
        server.warm(size)
    # In turn, so that a change of the machine's speed meets both sizes.
    times: dict[str, dict[str, list[float]]] = {}
    for _ in range(rounds):
        for size in sizes:
            for read, milliseconds in run_worker(server, size, "read_over_http").report.items():
                times.setdefault(read, {}).setdefault(size, []).append(milliseconds)
    for read, found in times.items():
        small, large = (round(median(found[size]), 2) for size in sizes)
        reads[read] = {"small": small, "large": large, "ratio": round(large / small, 2)}
    return {"hosts": sizes, "reads": reads}


def read_over_http() -> dict[str, float]:
    """Send REQUESTS of each read after a warm-up; return the medians in milliseconds."""
    from django.conf import settings
    from django.test import Client
    from django.utils import timezone

    from rewards.models import AwardRun, Host
    from rewards.services.api_clients import create_client, create_key

    settings.ALLOWED_HOSTS = ["localhost"]
    timezone.now = lambda: NOW
    client = create_client(name="reader", source=f"reader-{time.time_ns()}", scopes=["scores:read"])
    key = create_key(client=client, now=NOW, today=NOW.date())
    browser = Client(SERVER_NAME="localhost", headers={"authorization": f"Bearer {key.text}"})

    ids = list(Host.objects.order_by("pk").values_list("external_id", flat=True))
    chosen = ids[:: max(1, len(ids) // REQUESTS)][:REQUESTS]
    run = AwardRun.objects.order_by("-awards", "pk")[0]
    medians = {}
    for read, address in {
        "host": "hosts/{host}",
        "awards of a host": "hosts/{host}/awards",
        "explanation of a day": f"hosts/{{host}}/explanation?date={dataset.DAY}",
        "ranking of the open week": f"leaderboard?week={NOW.date()}",
        RANKING: f"leaderboard?week={dataset.MONDAY}",
        "runs": "runs",
        "run": f"runs/{run.pk}",
        "awards of a run": f"runs/{run.pk}/awards",
    }.items():
        hosts = chosen[:3] if read == RANKING else chosen
        times = []
        for host in [hosts[0], *hosts]:
            began = time.perf_counter()
            response = browser.get(f"/api/v1/{address.format(host=host)}", secure=True)
            times.append(1000 * (time.perf_counter() - began))
            if response.status_code != 200:
                raise RuntimeError(f"{address} answered {response.status_code}.")
        medians[read] = median(times[1:])
    return medians
