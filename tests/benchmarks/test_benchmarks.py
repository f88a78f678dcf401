"""Keeps the benchmarks alive: they run, and every contestant is right. No time is asserted."""

import json
import subprocess
import sys

import pytest

from benchmarks.__main__ import PARTS
from benchmarks.report import tables


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    output = tmp_path_factory.mktemp("benchmarks") / "results.json"
    command = [sys.executable, "-m", "benchmarks", "--hosts", "20", "--rounds", "1"]
    subprocess.run(
        [*command, "--output", str(output)], check=True, capture_output=True, timeout=300
    )
    return json.loads(output.read_text())


def test_every_part_is_measured(results):
    assert results.keys() >= PARTS.keys()


def test_every_way_to_award_a_day_comes_to_the_same_ledger_and_true_scores(results):
    wrong = [way for way, row in results["daily"]["ways"].items() if not row["is_correct"]]

    assert wrong == []
    assert results["daily"]["ways"]["ours"]["awards"] > 0


def test_an_import_stores_what_hand_written_sql_stores(results):
    assert results["ingest"]["is_correct"]


def test_a_batch_takes_six_statements_or_fewer(results):
    counts = {count for size, count in results["statements"].items() if size.isdigit()}

    assert len(counts) == 1
    assert counts.pop() <= 6


def test_all_contestants_pay_for_durability(results):
    durable = ("fsync", "synchronous_commit", "full_page_writes")

    assert {results["settings"][name] for name in durable} == {"on"}


def test_the_report_has_a_row_for_each_target(results):
    assert tables(results).count("<=") + tables(results).count(">=") >= 12
