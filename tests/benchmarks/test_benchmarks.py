"""The benchmarks run and every variant writes the correct ledger. No test asserts a time."""

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
from rewards.services.awarding.batches import SECOND_THREAD_FROM


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


def test_every_variant_writes_the_same_ledger_with_matching_scores(results):
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


@pytest.mark.parametrize("name", publish.PAGES)
def test_the_docs_show_the_stored_results(name):
    text = (publish.DOCS / name).read_text()

    assert text == filled(text, json.loads(publish.RESULTS.read_text()))


COST = Cost(batch=1, host=0, award=0)
MODEL = CostModel(run=10, serial=0.5, start=0, ours=COST, server=COST)


@pytest.mark.parametrize(
    ("machines", "seconds"),
    [
        # Four batches: each takes one second of our process and one of the server.
        (Machines(threads=1, processors=1), 8),
        (Machines(threads=1, processors=2), 8),
        (Machines(threads=2, processors=1), 8),
        # One thread computes while the server works for the other one.
        (Machines(threads=2, processors=2), 5),
        # Two interpreters that share two processors with the server.
        (Machines(workers=2, threads=1, processors=2), 4),
        (Machines(workers=2, threads=2, processors=2), 4),
        (Machines(workers=2, threads=1, processors=4), 4),
        (Machines(workers=4, threads=1, processors=4, for_workers=4), 2),
        (Machines(workers=4, threads=1, processors=1, for_workers=4), 5),
    ],
)
def test_the_simulation_predicts_the_seconds_of_a_run(machines, seconds):
    predicted = simulate(MODEL, hosts=8, awards=2, batch=2, machines=machines)

    assert predicted == 10 + 8 * 0.5 + seconds


def test_a_worker_that_starts_late_takes_fewer_batches():
    model = replace(MODEL, start=4)

    machines = Machines(workers=2, threads=1, processors=2)

    predicted = simulate(model, hosts=8, awards=2, batch=2, machines=machines)

    # The first worker has finished two of the four batches by then.
    assert predicted == 10 + 8 * 0.5 + 4 + 2


def test_the_fit_has_no_negative_cost():
    runs = [
        {"hosts": 10 * n, "batches": n, "awards": 0, "cpu": 0, "seconds": seconds}
        for n, seconds in [(1, 5.0), (2, 4.0), (3, 3.0)]
    ]

    model = fit(runs, serial=0, start=0)

    assert min(*asdict(model.ours).values(), *asdict(model.server).values(), model.run) >= 0
    assert model.run == pytest.approx(3.6, abs=0.5)


def test_the_model_has_the_engines_threshold_for_two_threads():
    assert scaling.TWO_THREADS_FROM == SECOND_THREAD_FROM


def test_the_fit_recovers_known_costs():
    model = CostModel(
        run=0.2,
        serial=1e-6,
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

    fitted = fit(runs, serial=1e-6, start=0.7)

    assert fitted.run == pytest.approx(model.run)
    assert asdict(fitted.ours) == pytest.approx(asdict(model.ours))
    assert asdict(fitted.server) == pytest.approx(asdict(model.server))
