"""The tables of docs/benchmarks.md and docs/scaling.md, made from results."""

import math
import re
from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks import scaling
from benchmarks.requests import ANCHOR
from benchmarks.server import DURABLE

Results = dict[str, Any]


def _seconds(part: str, variant: str, baseline: str) -> Callable[[Results], float]:
    def ratio(results: Results) -> float:
        variants = results[part]["variants"]
        return float(variants[variant]["median"] / variants[baseline]["median"])

    return ratio


def _per_event(variant: str, baseline: str) -> Callable[[Results], float]:
    def ratio(results: Results) -> float:
        variants = results["requests"]["variants"]
        # The kernel counts CPU in hundredths of a second: a few requests can take none.
        base = variants[baseline]["median"]
        return float(variants[variant]["median"] / base) if base else math.inf

    return ratio


def _per_award(variant: str) -> Callable[[Results], float]:
    def ratio(results: Results) -> float:
        ours, other = (
            results["daily"]["variants"][name]["microseconds_per_award"]
            for name in ("ours", variant)
        )
        return float(other / ours)

    return ratio


def _memory(results: Results) -> list[int]:
    """Return the peak memory of one process, by ascending number of hosts."""
    return [point["memory"] for point in results["scaling"]["points"] if point["workers"] == 1]


def _memory_growth(results: Results) -> float:
    *_, tenth, all_hosts = _memory(results)
    return all_hosts / tenth


def _peak(results: Results) -> float:
    return max(_memory(results)) / 2**20


def _statements(results: Results) -> float:
    return float(max(value for key, value in results["statements"].items() if key.isdigit()))


TARGETS: list[tuple[str, str, float, Callable[[Results], float]]] = [
    ("ours / hand-written SQL", "<=", 0.85, _seconds("daily", "ours", "hand-written SQL")),
    (
        "ours / COPY of finished rows",
        "<=",
        1.25,
        _seconds("daily", "ours", "COPY of finished rows"),
    ),
    (
        "ours, 2 workers / hand-written SQL",
        "<=",
        0.65,
        _seconds("daily", "ours, 2 workers", "hand-written SQL"),
    ),
    ("second run of the day / first", "<=", 0.15, _seconds("daily", "ours, second run", "ours")),
    (
        "run of a day that was paid live / first run",
        "<=",
        0.15,
        _seconds("daily", "ours, all paid live", "ours"),
    ),
    (
        "one query per host and rule / ours, per award",
        ">=",
        50,
        _per_award("query_per_host_and_rule"),
    ),
    (
        "maps and two writes per award / ours, per award",
        ">=",
        25,
        _per_award("maps_and_two_writes"),
    ),
    ("peak memory, all hosts / a tenth of them", "<=", 1.1, _memory_growth),
    ("peak memory, MiB", "<=", 150, _peak),
    ("statements per batch", "<=", 6, _statements),
    (
        "a day on a ledger of 40 rows per host / on a ledger of one day",
        "<=",
        1.2,
        lambda results: (
            results["history"]["full"]["median"] / results["history"]["empty"]["median"]
        ),
    ),
    (
        "award_weekly / award_daily",
        "<=",
        1.0,
        lambda results: (
            results["weekly"]["award_weekly"]["median"] / results["weekly"]["award_daily"]["median"]
        ),
    ),
    (
        "import_activity / hand-written SQL",
        "<=",
        1.3,
        _seconds("ingest", "import_activity", "hand-written SQL"),
    ),
    (
        "verify_ledger / one aggregate of the ledger",
        "<=",
        4,
        _seconds("verification", "verify_ledger", "one aggregate"),
    ),
    (
        "a page of the admin, all hosts / a hundredth of them",
        "<=",
        1.5,
        lambda results: float(results["pages"]["slowest"]),
    ),
    (
        "GET of a host over the API, all hosts / a hundredth of them",
        "<=",
        1.2,
        lambda results: float(results["api"]["reads"]["host"]["ratio"]),
    ),
    (
        "32 writers with totals / without",
        ">=",
        0.8,
        lambda results: (
            median(results["writers"]["rates"]["with totals"])
            / median(results["writers"]["rates"]["without totals"])
        ),
    ),
    (
        "p99 of a live award during a roll-over / undisturbed",
        "<=",
        3,
        lambda results: (
            median(results["writers"]["roll-over"]) / median(results["writers"]["undisturbed"])
        ),
    ),
    *(
        (f"{variant} / {baseline}, CPU", "<=", target, _per_event(variant, baseline))
        for variant, baseline, target in (
            ("1 event, live awards", ANCHOR, 3.5),
            ("100 events, live awards", ANCHOR, 0.15),
            ("1,000 events, live awards", ANCHOR, 0.12),
            ("1 event, live awards", "FastAPI that inserts one row", 4.5),
            ("1,000 events, live awards", "import_activity", 2.0),
            ("1 event, live awards", "1 event, no live awards", 1.35),
            ("100 events, live awards", "100 events, no live awards", 1.15),
        )
    ),
]


def tables(results: Results) -> str:
    """Return the tables of all measured parts as Markdown."""
    return "\n\n".join(
        table(name, results) for name, (parts, _) in TABLES.items() if results.keys() >= parts
    )


def table(name: str, results: Results) -> str:
    """Return the table `name` of TABLES as Markdown."""
    _, lines = TABLES[name]
    return "\n".join(lines(results))


def _targets(results: Results) -> list[str]:
    lines = ["| figure | target | measured |", "|---|---|---|"]
    for figure, relation, target, measure in TARGETS:
        try:
            value = measure(results)
        except KeyError:
            continue  # a part that has not been measured
        is_met = value <= target if relation == "<=" else value >= target
        lines.append(
            f"| {figure} | {relation} {target:g} | {value:.3g}{'' if is_met else ' (missed)'} |"
        )
    return lines


def _machine(results: Results) -> list[str]:
    machine, settings = results["machine"], results["settings"]
    durable = [name for name in DURABLE if settings[name] == "on"]
    return [
        f"{machine['cpu']}, {machine['cores']} processors, {machine['memory_gib']} GiB of memory; "
        f"{machine['system']}, Python {machine['python']}, "
        f"PostgreSQL {settings['server_version']}; on: {', '.join(durable)}; shared_buffers "
        f"{settings['shared_buffers']}."
    ]


def _variants(results: Results) -> list[str]:
    lines = [
        "| variant | seconds | awards | µs per award | MiB | ledger and scores |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for variant, row in results["daily"]["variants"].items():
        verdict = "correct" if row["is_correct"] else "WRONG"
        memory = f"{row['memory'] / 2**20:.0f}" if row["memory"] else ""
        lines.append(
            f"| {variant.replace('_', ' ')} | {row['median']:.2f} | {row['awards']:,} "
            f"| {row['microseconds_per_award']:,.2f} | {memory} | {verdict} |"
        )
    return lines


def _others(results: Results) -> list[str]:
    """Return the seconds behind the ratios of history, weekly, ingest and verification."""
    ingest, verification = results["ingest"], results["verification"]
    rows = [
        (f"a day on a ledger of {row['rows_before']:,} rows", row["median"])
        for row in (results["history"]["empty"], results["history"]["full"])
    ]
    rows += [
        (f"{command}, {row['awards']:,} awards", row["median"])
        for command in ("award_daily", "award_weekly")
        if (row := results["weekly"][command])
    ]
    rows += [
        (f"{variant}, {ingest['events']:,} events", row["median"])
        for variant, row in ingest["variants"].items()
    ]
    rows += [
        (
            f"{variant}, {verification['rows']:,} ledger rows, {verification['events']:,} events",
            row["median"],
        )
        for variant, row in verification["variants"].items()
    ]
    return [
        "| measurement | seconds |",
        "|---|---:|",
        *(f"| {name} | {seconds:.2f} |" for name, seconds in rows),
    ]


def _pages(results: Results) -> list[str]:
    part = results["pages"]
    small, large = part["hosts"]["small"], part["hosts"]["large"]
    lines = [
        f"| page | {small:,} hosts, ms | {large:,} hosts, ms | ratio |",
        "|---|---:|---:|---:|",
    ]
    for page, row in part["pages"].items():
        lines.append(f"| {page} | {row['small']:.1f} | {row['large']:.1f} | {row['ratio']:.2f} |")
    return lines


def _reads(results: Results) -> list[str]:
    part = results["api"]
    small, large = part["hosts"]["small"], part["hosts"]["large"]
    lines = [
        f"| GET | {small:,} hosts, ms | {large:,} hosts, ms | ratio |",
        "|---|---:|---:|---:|",
    ]
    for read, row in part["reads"].items():
        lines.append(f"| {read} | {row['small']:.2f} | {row['large']:.2f} | {row['ratio']:.2f} |")
    return lines


def _requests(results: Results) -> list[str]:
    return [
        "| variant | µs of CPU per event |",
        "|---|---:|",
        *(
            f"| {variant} | {row['median']:,.0f} |"
            for variant, row in results["requests"]["variants"].items()
        ),
    ]


def _costs(results: Results) -> list[str]:
    model = scaling.model_of(results)
    micro = 1_000_000
    return [
        "| cost per | our process, µs | PostgreSQL, µs |",
        "|---|---:|---:|",
        *(
            f"| {unit} | {getattr(model.ours, unit) * micro:,.2f} "
            f"| {getattr(model.server, unit) * micro:,.2f} |"
            for unit in ("batch", "host", "award")
        ),
        f"| host, serial | | {model.serial * micro:,.2f} |",
        f"| run | {model.run * micro:,.0f} in total | |",
    ]


def _sizes(results: Results) -> list[str]:
    return [
        "| storage | bytes |",
        "|---|---:|",
        *(
            f"| {name.replace('_', ' ')} | {size:,} |"
            for name, size in results["scaling"]["bytes"].items()
        ),
    ]


def _points(results: Results) -> list[str]:
    lines = [
        "| hosts | workers | threads per worker | measured, s | model, s | model / measured |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for point in results["scaling"]["points"]:
        lines.append(
            f"| {point['hosts']:,} | {point['workers']} | {point['threads']} "
            f"| {point['median']:.2f} | {point['predicted']:.2f} "
            f"| {point['predicted'] / point['median']:.2f} |"
        )
    return lines


def _forecast(results: Results) -> list[str]:
    lines = [
        "| active hosts | awards | WAL | new ledger | "
        f"{' | '.join(title for title, _ in scaling.SETUPS)} |",
        f"|---:|---:|---:|---:|{'---:|' * len(scaling.SETUPS)}",
    ]
    for row in scaling.forecast(results):
        seconds = " | ".join(_duration(value) for value in row["seconds"])
        lines.append(
            f"| {row['hosts']:,} | {row['awards']:,} | {row['log'] / 1e9:,.1f} GB "
            f"| {row['ledger'] / 1e9:,.1f} GB | {seconds} |"
        )
    return lines


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


TABLES: dict[str, tuple[set[str], Callable[[Results], list[str]]]] = {
    "targets": (set(), _targets),
    "machine": (set(), _machine),
    "variants": ({"daily"}, _variants),
    "others": ({"history", "weekly", "ingest", "verification"}, _others),
    "pages": ({"pages"}, _pages),
    "reads": ({"api"}, _reads),
    "requests": ({"requests"}, _requests),
    "costs": ({"scaling"}, _costs),
    "bytes": ({"scaling"}, _sizes),
    "points": ({"scaling"}, _points),
    "forecast": ({"scaling"}, _forecast),
}
"""Table name -> (parts it needs, function that makes its lines)."""


def filled(text: str, results: Results) -> str:
    """Return `text` with each table between `<!-- table: NAME -->` and `<!-- end -->` replaced."""
    return re.sub(
        r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}\n{table(match[2], results)}\n\n{match[3]}",
        text,
        flags=re.DOTALL,
    )
