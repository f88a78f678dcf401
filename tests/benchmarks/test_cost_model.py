from dataclasses import asdict, replace

import pytest

from benchmarks import scaling
from benchmarks.scaling import fit
from benchmarks.simulation import Cost, CostModel, Machines, simulate
from rewards.services.awarding.batches import SECOND_THREAD_FROM

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
