"""Results as the tables of docs/benchmarks.md and docs/scaling.md."""

import re
from collections.abc import Callable
from typing import Any

from benchmarks import scaling
from benchmarks.server import DURABLE

Results = dict[str, Any]


def _ways(part: str, way: str, against: str) -> Callable[[Results], float]:
    def ratio(results: Results) -> float:
        ways = results[part]["ways"]
        return float(ways[way]["median"] / ways[against]["median"])

    return ratio


def _per_award(way: str) -> Callable[[Results], float]:
    def ratio(results: Results) -> float:
        ways = results["daily"]["ways"]
        return float(ways[way]["microseconds_per_award"] / ways["ours"]["microseconds_per_award"])

    return ratio


def _memory(results: Results) -> list[int]:
    """Return the peak memory of one process, of few hosts, more and most."""
    return [point["memory"] for point in results["scaling"]["points"] if point["workers"] == 1]


def _growth_of_memory(results: Results) -> float:
    *_, many, most = _memory(results)
    return most / many


def _peak(results: Results) -> float:
    return max(_memory(results)) / 2**20


def _statements(results: Results) -> float:
    return float(max(value for key, value in results["statements"].items() if key.isdigit()))


TARGETS: list[tuple[str, str, float, Callable[[Results], float]]] = [
    ("ours / hand-written SQL", "<=", 0.85, _ways("daily", "ours", "hand-written SQL")),
    ("ours / floor", "<=", 1.25, _ways("daily", "ours", "floor")),
    (
        "ours, 2 workers / hand-written SQL",
        "<=",
        0.65,
        _ways("daily", "ours, 2 workers", "hand-written SQL"),
    ),
    ("second run of the day / first", "<=", 0.15, _ways("daily", "ours, second run", "ours")),
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
    ("peak memory, all hosts / a tenth of them", "<=", 1.1, _growth_of_memory),
    ("peak memory, MiB", "<=", 150, _peak),
    ("statements per batch", "<=", 6, _statements),
    (
        "a day on a ledger of 40 rows per host / on an empty one",
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
        _ways("ingest", "import_activity", "hand-written SQL"),
    ),
    (
        "verify_ledger / one aggregate of the ledger",
        "<=",
        4,
        _ways("verification", "verify_ledger", "one aggregate"),
    ),
    (
        "a page of the admin, all hosts / a hundredth of them",
        "<=",
        1.5,
        lambda results: float(results["pages"]["slowest"]),
    ),
]


def tables(results: Results) -> str:
    """Return every table of what has been measured, as Markdown."""
    return "\n\n".join(
        table(name, results) for name, (parts, _) in TABLES.items() if results.keys() >= parts
    )


def table(name: str, results: Results) -> str:
    """Return one of TABLES."""
    _, lines = TABLES[name]
    return "\n".join(lines(results))


def _targets(results: Results) -> list[str]:
    lines = ["| figure | target | measured |", "|---|---|---|"]
    for figure, relation, target, measure in TARGETS:
        try:
            found = measure(results)
        except KeyError:
            continue  # a part that has not been measured
        is_met = found <= target if relation == "<=" else found >= target
        lines.append(
            f"| {figure} | {relation} {target:g} | {found:.3g}{'' if is_met else ' (missed)'} |"
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


def _ways_to_award(results: Results) -> list[str]:
    lines = [
        "| way to award the day | seconds | awards | µs per award | MiB | ledger and scores |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for way, row in results["daily"]["ways"].items():
        verdict = "right" if row["is_correct"] else "WRONG"
        memory = f"{row['memory'] / 2**20:.0f}" if row["memory"] else ""
        lines.append(
            f"| {way.replace('_', ' ')} | {row['median']:.2f} | {row['awards']:,} "
            f"| {row['microseconds_per_award']:,.2f} | {memory} | {verdict} |"
        )
    return lines


def _others(results: Results) -> list[str]:
    """Return the seconds behind the ratios of all parts but the first."""
    ingest, verification = results["ingest"], results["verification"]
    rows = [
        (f"a day on a ledger of {row['rows_before']:,} rows", row["median"])
        for row in (results["history"]["empty"], results["history"]["full"])
    ]
    rows += [
        (f"{way} of one world, {results['weekly'][way]['awards']:,} awards", row["median"])
        for way in ("award_daily", "award_weekly")
        if (row := results["weekly"][way])
    ]
    rows += [
        (f"{way} of {ingest['events']:,} events", row["median"])
        for way, row in ingest["ways"].items()
    ]
    rows += [
        (
            f"{way}, {verification['rows']:,} rows of ledger and {verification['events']:,} events",
            row["median"],
        )
        for way, row in verification["ways"].items()
    ]
    return [
        "| what | seconds |",
        "|---|---:|",
        *(f"| {what} | {seconds:.2f} |" for what, seconds in rows),
    ]


def _pages(results: Results) -> list[str]:
    part = results["pages"]
    small, large = part["hosts"]["small"], part["hosts"]["large"]
    lines = [
        f"| page of the admin | {small:,} hosts, ms | {large:,} hosts, ms | ratio |",
        "|---|---:|---:|---:|",
    ]
    for page, row in part["pages"].items():
        lines.append(f"| {page} | {row['small']:.1f} | {row['large']:.1f} | {row['ratio']:.2f} |")
    return lines


def _costs(results: Results) -> list[str]:
    model = scaling.model_of(results)
    micro = 1_000_000
    return [
        "| cost of | our process, µs | PostgreSQL, µs |",
        "|---|---:|---:|",
        *(
            f"| a{'n' if what[0] == 'a' else ''} {what} | {getattr(model.ours, what) * micro:,.2f} "
            f"| {getattr(model.server, what) * micro:,.2f} |"
            for what in ("batch", "host", "award")
        ),
        f"| a host, while nothing else goes on | | {model.alone * micro:,.2f} |",
        f"| a run | {model.run * micro:,.0f} in all | |",
    ]


def _sizes(results: Results) -> list[str]:
    return [
        "| bytes | |",
        "|---|---:|",
        *(
            f"| {what.replace('_', ' ')} | {number:,} |"
            for what, number in results["scaling"]["bytes"].items()
        ),
    ]


def _points(results: Results) -> list[str]:
    lines = [
        "| hosts | workers | threads of each | measured, s | model, s | model / measured |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for point in results["scaling"]["points"]:
        lines.append(
            f"| {point['hosts']:,} | {point['workers']} | {point['threads']} "
            f"| {point['median']:.2f} | {point['foretold']:.2f} "
            f"| {point['foretold'] / point['median']:.2f} |"
        )
    return lines


def _forecast(results: Results) -> list[str]:
    lines = [
        "| active hosts | awards | WAL | new ledger | "
        f"{' | '.join(title for title, _ in scaling.CREWS)} |",
        f"|---:|---:|---:|---:|{'---:|' * len(scaling.CREWS)}",
    ]
    for row in scaling.forecast(results):
        seconds = " | ".join(_duration(each) for each in row["seconds"])
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
    "ways": ({"daily"}, _ways_to_award),
    "others": ({"history", "weekly", "ingest", "verification"}, _others),
    "pages": ({"pages"}, _pages),
    "costs": ({"scaling"}, _costs),
    "bytes": ({"scaling"}, _sizes),
    "points": ({"scaling"}, _points),
    "forecast": ({"scaling"}, _forecast),
}
"""By name: the parts that it needs, and how it is made."""


def filled(text: str, results: Results) -> str:
    """Return a page with each table between `<!-- table: NAME -->` and `<!-- end -->` made anew."""
    return re.sub(
        r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}\n{table(found[2], results)}\n\n{found[3]}",
        text,
        flags=re.DOTALL,
    )
