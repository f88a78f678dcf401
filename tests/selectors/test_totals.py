from datetime import timedelta

import pytest

from rewards.choices import BatchStatus, RunStatus
from rewards.selectors.totals import DayTotal, totals_by_day
from tests.factories import A_MONDAY, AwardRunFactory

pytestmark = pytest.mark.django_db

ONE_DAY = timedelta(days=1)


def by_rule(**counts):
    return {
        rule_type: {"awards": awards, "points": points}
        for rule_type, (awards, points) in counts.items()
    }


def run(day=A_MONDAY, **kwargs):
    return AwardRunFactory(reference_date=day, **kwargs)


def test_totals_add_up_the_runs_of_a_day():
    run(by_rule=by_rule(LOGIN=(2, 20), AUDIO=(1, 25)))
    run(by_rule=by_rule(LOGIN=(1, 10)))
    run(A_MONDAY + ONE_DAY, by_rule=by_rule(LOGIN=(5, 50)))
    for offset in (-1, 2):
        run(A_MONDAY + offset * ONE_DAY, by_rule=by_rule(LOGIN=(9, 90)))

    assert totals_by_day(first=A_MONDAY, last=A_MONDAY + ONE_DAY) == [
        DayTotal(A_MONDAY, "AUDIO", 1, 25),
        DayTotal(A_MONDAY, "LOGIN", 3, 30),
        DayTotal(A_MONDAY + ONE_DAY, "LOGIN", 5, 50),
    ]


def test_a_running_run_counts_by_its_batches():
    """A run has its own sums when it ends, and then its batches are in them."""
    done = run(by_rule=by_rule(LOGIN=(1, 10)))
    running = run(status=RunStatus.RUNNING, finished_at=None, by_rule=by_rule(LOGIN=(7, 70)))
    other_day = run(A_MONDAY - ONE_DAY, status=RunStatus.RUNNING, finished_at=None)
    for number, award_run in enumerate((done, running, running, other_day)):
        award_run.batches.create(
            after_user=number,
            through_user=number + 1,
            status=BatchStatus.DONE,
            finished_at=done.finished_at,
            by_rule=by_rule(LOGIN=(2, 20)),
        )

    assert totals_by_day(first=A_MONDAY, last=A_MONDAY) == [DayTotal(A_MONDAY, "LOGIN", 5, 50)]
