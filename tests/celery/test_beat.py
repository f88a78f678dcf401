"""Beat and workers award what is due."""

import json

import pytest

from rewards.choices import RunTrigger
from rewards.models import AwardRun
from tests.celery.sample import DAYS, WEEKS, all_is_awarded, assert_awarded_once
from tests.processes import finish, start, wait_until
from tests.test_sample import in_process

AFTERWARDS = "2004-05-03T02:00:00+00:00"
"""Two hours after the last day of the sample."""


def runs_command():
    """Run `manage.py runs` on the day after the sample; return its exit code and its answer."""
    program = (
        "import sys; from tests.celery import app_fixed_clock; "
        "from django.core.management import execute_from_command_line as run; "
        "run(['manage.py', 'runs', '--days', '30', '--format', 'json'])"
    )
    code, out, _ = finish(start(["-c", program], NOW=AFTERWARDS))
    return code, json.loads(out)


@pytest.mark.smoke
def test_due_periods_are_awarded_and_no_longer_overdue(every_second, stack, workers, tmp_path):
    code, before = runs_command()
    assert (code, len(before["overdue"])) == (4, DAYS + WEEKS)

    stack.beat()
    wait_until(all_is_awarded, stack.outputs)
    code, after = runs_command()

    assert (code, after["overdue"]) == (0, [])
    done = [period for period in after["periods"] if period["state"] == "done"]
    assert len(done) == DAYS + WEEKS
    assert {period["trigger"] for period in done} == {"beat"}
    assert {period["state"] for period in after["periods"]} == {"done", "no activity"}
    assert_awarded_once(tmp_path)


def test_one_tick_after_ten_days_awards_all_oldest_first(stack, workers, tmp_path):
    """Nothing ran from Friday the 23rd to Sunday of the week after, across a Monday."""
    for day in (15, 16, 19, 20, 21, 22):
        in_process("award_daily", "--date", f"2004-04-{day}")
    in_process("award_weekly", "--week", "2004-04-12")

    stack.send("award_due")
    wait_until(all_is_awarded, stack.outputs)

    runs = AwardRun.objects.filter(trigger=RunTrigger.BEAT).order_by("started_at")
    order = [f"{run.cadence} {run.reference_date}" for run in runs]
    assert order == [
        *(f"daily 2004-04-{day}" for day in (23, 24, 25)),
        "weekly 2004-04-19",
        *(f"daily 2004-04-{day}" for day in range(26, 31)),
        *(f"daily 2004-05-0{day}" for day in (1, 2)),
        "weekly 2004-04-26",
    ]
    assert_awarded_once(tmp_path)


def test_two_beats_send_twice_and_each_award_is_paid_once(
    every_second, stack, workers, fault, tmp_path
):
    beats = [stack.beat(), stack.beat()]
    wait_until(all_is_awarded, stack.outputs)
    for beat in beats:
        beat.wait_for("Sending due task")
    fault("F21", "two beats")

    assert_awarded_once(tmp_path)
