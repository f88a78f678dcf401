"""SQL statements per batch, counted in the server's log, for a small and a large batch."""

import re
from typing import Any

from benchmarks import dataset
from benchmarks.server import Server
from benchmarks.variants import build_active_days, run_worker

BATCHES = 10


def measure(server: Server, *, hosts: int, rounds: int) -> dict[str, Any]:
    """Return batch size -> statements of one batch, without BEGIN, COMMIT and savepoints."""
    counts = {}
    for size in sorted({1, max(1, min(hosts, 20_000) // BATCHES)}):
        one, more = (_statements(server, size, batches) for batches in (1, BATCHES + 1))
        counts[str(size)] = (more - one) / BATCHES
    return counts


def _statements(server: Server, size: int, batches: int) -> int:
    name = "statements"
    build_active_days(server, name, hosts=size * batches)
    with server.connect(name) as connection:
        connection.execute(f"ALTER DATABASE {name} SET log_statement = 'all'".encode())
    before = server.log.stat().st_size
    environment = {"REWARDS_BATCH_SIZE": str(size)}
    run_worker(
        server, name, "command", "award_daily", "--date", str(dataset.DAY), environment=environment
    )
    with server.log.open() as log:
        log.seek(before)
        logged = re.findall(r"LOG:  (?:statement|execute [^:]*): *\n?\s*(\w+)", log.read())
    return sum(verb.upper() not in {"BEGIN", "COMMIT", "SAVEPOINT", "RELEASE"} for verb in logged)
