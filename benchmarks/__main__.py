"""Run the benchmarks and print their tables."""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import (
    admin_pages,
    api,
    daily,
    dataset,
    history,
    ingest,
    report,
    requests,
    scaling,
    server,
    statement_counts,
    verification,
    weekly,
    writers,
)

PARTS = {
    "daily": daily.measure,
    "statements": statement_counts.measure,
    "weekly": weekly.measure,
    "ingest": ingest.measure,
    "verification": verification.measure,
    "history": history.measure,
    "scaling": scaling.measure,
    "pages": admin_pages.measure,
    "api": api.measure,
    "requests": requests.measure,
    "writers": writers.measure,
}

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--hosts", type=int, default=100_000, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="runs per variant; medians count")
    parser.add_argument("--only", type=_parts, default=list(PARTS), help=f"of {','.join(PARTS)}")
    parser.add_argument("--folder", type=Path, help="parent folder of the private PostgreSQL")
    parser.add_argument("--output", type=Path, help="default: benchmarks/results/HOSTS.json")
    options = parser.parse_args()
    output: Path = options.output or RESULTS / f"{options.hosts}.json"

    results: dict[str, Any] = json.loads(output.read_text()) if output.exists() else {}
    output.parent.mkdir(parents=True, exist_ok=True)
    # Turn SIGTERM into SystemExit, so that the context manager stops the server.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with server.running(options.folder) as running:
        results |= {
            "hosts": options.hosts,
            "machine": _machine(),
            "settings": server.current_settings(running),
        }
        for part in options.only:
            began = time.monotonic()
            measured = PARTS[part](running, hosts=options.hosts, rounds=options.rounds)
            took = round(time.monotonic() - began)
            results[part] = measured | {
                "rounds": options.rounds,
                "took": took,
                "commit": _commit(),
            }
            output.write_text(json.dumps(results, indent=2) + "\n")
            print(f"{part}: measured in {took} s", flush=True)
            running.clear(keep=dataset.MIGRATED)
    print(report.tables(results))


def _parts(text: str) -> list[str]:
    parts = text.split(",")
    if unknown := set(parts) - set(PARTS):
        raise argparse.ArgumentTypeError(
            f"Unknown part {', '.join(sorted(unknown))}; use {', '.join(PARTS)}."
        )
    return parts


def _machine() -> dict[str, Any]:
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    main()
