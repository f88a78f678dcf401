"""The SVG charts of docs/benchmarks.md and docs/scaling.md."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from benchmarks.scaling import BATCH, awards_per_host, model_of, this_machine
from benchmarks.simulation import simulate

Results = dict[str, Any]

OURS, OTHERS, FAINT = "#0f766e", "#94a3b8", "#475569"

# A fixed salt makes the files reproducible byte for byte.
mpl.rcParams.update({"svg.hashsalt": "rewards", "svg.fonttype": "none", "font.size": 10})


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw a chart of each measured part into `folder`; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for part, chart in {"daily": variants, "scaling": growth}.items():
        if part in results:
            path = folder / f"{chart.__name__}.svg"
            chart(results, path)
            drawn.append(path)
    return drawn


@contextmanager
def _figure(path: Path, *, height: float) -> Iterator[Axes]:
    figure, axes = plt.subplots(figsize=(8, height), layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    yield axes
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def variants(results: Results, path: Path) -> None:
    """Draw the microseconds per award of each variant, on a log scale."""
    rows = sorted(
        results["daily"]["variants"].items(), key=lambda row: -row[1]["microseconds_per_award"]
    )
    names = [name.replace("_", " ") for name, _ in rows]
    values = [row["microseconds_per_award"] for _, row in rows]
    colours = [OURS if name.startswith("ours") else OTHERS for name, _ in rows]
    with _figure(path, height=3.6) as axes:
        bars = axes.barh(names, values, color=colours)
        axes.bar_label(bars, [f"{value:,.1f}" for value in values], padding=4)
        axes.set_xscale("log")
        axes.set_xlim(right=max(values) * 4)
        axes.set_xlabel("microseconds per award (log scale)")
        axes.set_title(f"Time per award: one day of {results['hosts']:,} hosts, by variant")


def growth(results: Results, path: Path) -> None:
    """Draw the seconds of a run by number of hosts: measured points and the model's lines."""
    model = model_of(results)
    points = results["scaling"]["points"]
    awards = awards_per_host(results)
    sizes = [10_000 * 10 ** (step / 4) for step in range(17)]
    setups = {
        "one process": (1, OURS, "o", "-"),
        "two workers": (2, FAINT, "s", ":"),
    }
    with _figure(path, height=4.4) as axes:
        for name, (workers, colour, marker, line) in setups.items():
            predicted = [
                simulate(
                    model,
                    hosts=round(size),
                    awards=awards,
                    batch=BATCH,
                    machines=this_machine(hosts=round(size), workers=workers),
                )
                for size in sizes
            ]
            measured = [
                (point["hosts"], point["median"]) for point in points if point["workers"] == workers
            ]
            axes.plot(sizes, predicted, line, color=colour, label=f"{name}: model")
            axes.plot(*zip(*measured, strict=True), marker, color=colour, label=f"{name}: measured")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("active hosts")
        axes.set_ylabel("seconds")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        axes.set_title(f"Duration of a daily run on {results['machine']['cores']} processors")
