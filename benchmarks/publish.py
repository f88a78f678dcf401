"""Write results to the docs: `python -m benchmarks.publish [RESULTS]`."""

import json
import sys
from pathlib import Path

from benchmarks import charts, report

RESULTS = Path(__file__).parent / "results" / "1000000.json"
DOCS = Path(__file__).parent.parent / "docs"
PAGES = ("benchmarks.md", "scaling.md")


def publish(results: Path, docs: Path) -> None:
    """Write the charts and the tables of PAGES from one results file."""
    content = json.loads(results.read_text())
    charts.draw(content, docs / "charts")
    for page in PAGES:
        path = docs / page
        path.write_text(report.filled(path.read_text(), content))


if __name__ == "__main__":
    publish(Path(sys.argv[1]) if sys.argv[1:] else RESULTS, DOCS)
