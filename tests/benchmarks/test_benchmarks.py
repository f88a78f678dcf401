"""Keeps the benchmarks alive: they run, and every contestant is right. No time is asserted."""

import json
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from benchmarks import charts, publish, scaling
from benchmarks.__main__ import PARTS
from benchmarks.report import TABLES, TARGETS, filled, table
from benchmarks.scaling import fit
from benchmarks.simulation import Cost, CostModel, Machines, simulate
from rewards.services.awarding.shards import ASSISTED_FROM


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
    assert table("targets", results).count("\n| ") == len(TARGETS)


def test_a_page_of_the_docs_is_filled_from_results_and_filling_it_again_changes_nothing(results):
    empty = "<!-- table: targets -->\n<!-- end -->\nbetween\n"
    page = f"before\n{empty}<!-- table: ways -->\nold\n<!-- end -->\nafter\n"

    once = filled(page, results)

    assert "| hand-written SQL |" in once
    assert "old" not in once
    assert once.count("<!-- end -->\nbetween\n<!-- table: ways -->") == 1
    assert once.startswith("before\n")
    assert once.endswith("\nafter\n")
    assert filled(once, results) == once


def test_every_table_can_be_made(results):
    assert all(results.keys() >= parts for parts, _ in TABLES.values())
    assert all(table(name, results) for name in TABLES)


def test_the_charts_are_drawn(results, tmp_path):
    drawn = charts.draw(results, tmp_path)

    assert len(drawn) == 2
    assert all(path.read_text().rstrip().endswith("</svg>") for path in drawn)


@pytest.mark.parametrize("name", publish.PAGES)
def test_the_docs_show_the_results_that_are_kept(name):
    text = (publish.DOCS / name).read_text()

    assert text == filled(text, json.loads(publish.RESULTS.read_text()))


COST = Cost(batch=1, host=0, award=0)
MODEL = CostModel(run=10, alone=0.5, start=0, ours=COST, server=COST)


@pytest.mark.parametrize(
    ("machines", "seconds"),
    [
        # Four batches, each a second of ours and a second of the server's.
        (Machines(threads=1, processors=1), 8),
        (Machines(threads=1, processors=2), 8),
        (Machines(threads=2, processors=1), 8),
        # One computes while the server works for the other.
        (Machines(threads=2, processors=2), 5),
        # Two interpreters, but no more processors for them and the server.
        (Machines(workers=2, threads=1, processors=2), 4),
        (Machines(workers=2, threads=2, processors=2), 4),
        (Machines(workers=2, threads=1, processors=4), 4),
        (Machines(workers=4, threads=1, processors=4, for_workers=4), 2),
        (Machines(workers=4, threads=1, processors=1, for_workers=4), 5),
    ],
)
def test_a_simulated_run_takes_as_long_as_its_processors_need(machines, seconds):
    found = simulate(MODEL, hosts=8, awards=2, batch=2, machines=machines)

    assert found == 10 + 8 * 0.5 + seconds


def test_a_worker_that_starts_late_works_less():
    model = replace(MODEL, start=4)

    found = simulate(
        model,
        hosts=8,
        awards=2,
        batch=2,
        machines=Machines(workers=2, threads=1, processors=2),
    )

    # The first has done two of the four batches by then.
    assert found == 10 + 8 * 0.5 + 4 + 2


def test_no_cost_is_negative():
    runs = [
        {"hosts": 10 * n, "batches": n, "awards": 0, "cpu": 0, "seconds": seconds}
        for n, seconds in [(1, 5.0), (2, 4.0), (3, 3.0)]
    ]

    model = fit(runs, alone=0, start=0)

    assert min(*asdict(model.ours).values(), *asdict(model.server).values(), model.run) >= 0
    assert model.run == pytest.approx(3.6, abs=0.5)


def test_the_model_knows_from_when_on_a_run_has_a_second_thread():
    assert scaling.FEW == ASSISTED_FROM


def test_the_costs_of_a_run_are_found_again():
    model = CostModel(
        run=0.2,
        alone=1e-6,
        start=0.7,
        ours=Cost(batch=3e-3, host=2e-6, award=4e-6),
        server=Cost(batch=4e-3, host=5e-6, award=6e-6),
    )
    runs = [
        {"hosts": hosts, "batches": batches, "awards": awards}
        | {
            "cpu": 0.1 + batches * 3e-3 + hosts * 2e-6 + awards * 4e-6,
            "seconds": 0.2 + batches * 7e-3 + hosts * 8e-6 + awards * 10e-6,
        }
        for hosts, batches, awards in [(10, 1, 0), (1000, 5, 2300), (1000, 50, 0), (500, 10, 500)]
    ]

    found = fit(runs, alone=1e-6, start=0.7)

    assert found.run == pytest.approx(model.run)
    assert asdict(found.ours) == pytest.approx(asdict(model.ours))
    assert asdict(found.server) == pytest.approx(asdict(model.server))
