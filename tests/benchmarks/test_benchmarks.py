"""The benchmarks run and every variant writes the correct ledger. No test asserts a time."""

import json
import os
import subprocess
import sys

import pytest

from benchmarks import charts
from benchmarks.__main__ import PARTS
from benchmarks.report import TABLES, TARGETS, filled, table

pytestmark = pytest.mark.benchmarks


MEMORY = "/dev/shm"  # noqa: S108 - the benchmarks make a folder of their own in it
"""A file system in memory, where flushing the durable server's files takes no time."""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    output = tmp_path_factory.mktemp("benchmarks") / "results.json"
    command = [sys.executable, "-m", "benchmarks", "--hosts", "20", "--rounds", "1"]
    if os.access(MEMORY, os.W_OK):
        command += ["--folder", MEMORY]
    subprocess.run([*command, "--output", str(output)], check=True, capture_output=True)
    return json.loads(output.read_text())


def test_every_part_is_measured(results):
    assert results.keys() >= PARTS.keys()


def test_every_variant_writes_the_same_ledger_and_scores(results):
    variants = results["daily"]["variants"]

    assert [name for name, row in variants.items() if not row["is_correct"]] == []
    assert variants["ours"]["awards"] > 0


def test_an_import_stores_what_hand_written_sql_stores(results):
    assert results["ingest"]["is_correct"]


def test_a_batch_takes_six_statements_or_fewer(results):
    counts = {count for size, count in results["statements"].items() if size.isdigit()}

    assert len(counts) == 1
    assert counts.pop() <= 6


def test_the_server_is_durable(results):
    durable = ("fsync", "synchronous_commit", "full_page_writes")

    assert {results["settings"][name] for name in durable} == {"on"}


def test_the_report_has_a_row_for_each_target(results):
    assert table("targets", results).count("\n| ") == len(TARGETS)


def test_requests_that_took_no_measurable_time_have_a_row(results):
    variants = results["requests"]["variants"]
    none = {variant: row | {"median": 0.0} for variant, row in variants.items()}

    text = table("targets", results | {"requests": results["requests"] | {"variants": none}})

    assert "inf (missed)" in text


def test_filling_a_page_with_results_is_idempotent(results):
    empty = "<!-- table: targets -->\n<!-- end -->\nbetween\n"
    page = f"before\n{empty}<!-- table: variants -->\nold\n<!-- end -->\nafter\n"

    once = filled(page, results)

    assert "| hand-written SQL |" in once
    assert "old" not in once
    assert once.count("<!-- end -->\nbetween\n<!-- table: variants -->") == 1
    assert once.startswith("before\n")
    assert once.endswith("\nafter\n")
    assert filled(once, results) == once


def test_every_table_renders(results):
    assert all(results.keys() >= parts for parts, _ in TABLES.values())
    assert all(table(name, results) for name in TABLES)


def test_every_chart_is_drawn(results, tmp_path):
    drawn = charts.draw(results, tmp_path)

    assert len(drawn) == 2
    assert all(path.read_text().rstrip().endswith("</svg>") for path in drawn)
