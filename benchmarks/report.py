"""Results as the tables of docs/benchmarks.md."""

from collections.abc import Callable
from typing import Any

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


def _memory(results: Results) -> float:
    sizes = [row for key, row in results["sizes"].items() if key.isdigit()]
    return float(sizes[-1]["memory"] / sizes[-2]["memory"])


def _peak(results: Results) -> float:
    peak = max(row["memory"] for key, row in results["sizes"].items() if key.isdigit())
    return float(peak / 2**20)


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
    ("peak memory, all hosts / a tenth of them", "<=", 1.1, _memory),
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
    """Return what has been measured as Markdown: the targets, then the ways to award a day."""
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
    if "daily" in results:
        lines += ["", *_daily(results["daily"])]
    if "pages" in results:
        lines += ["", *_pages(results["pages"])]
    return "\n".join(lines)


def _daily(part: Results) -> list[str]:
    lines = [
        "| way to award a day | seconds | awards | µs per award | ledger and scores |",
        "|---|---|---|---|---|",
    ]
    for way, row in part["ways"].items():
        verdict = "right" if row["is_correct"] else "WRONG"
        lines.append(
            f"| {way} | {row['median']:.2f} | {row['awards']:,} "
            f"| {row['microseconds_per_award']:,.2f} | {verdict} |"
        )
    return lines


def _pages(part: Results) -> list[str]:
    small, large = part["hosts"]["small"], part["hosts"]["large"]
    lines = [
        f"| page of the admin | {small:,} hosts, ms | {large:,} hosts, ms | ratio |",
        "|---|---|---|---|",
    ]
    for page, row in part["pages"].items():
        lines.append(f"| {page} | {row['small']:.1f} | {row['large']:.1f} | {row['ratio']:.2f} |")
    return lines
