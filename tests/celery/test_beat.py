"""Beat and worker as a user starts them."""

import json

from rewards.choices import RunTrigger
from rewards.models import AwardRun
from tests.celery.sample import DAYS, WEEKS, assert_as_if_undisturbed, everything_is_done
from tests.celery.stack import wait_until
from tests.processes import finish, start
from tests.test_sample import in_process

AFTERWARDS = "2004-05-03T02:00:00+00:00"
"""Two hours after the last day of the sample."""


def probe():
    """Run `manage.py runs` on the day after the sample; return its exit code and what it says."""
    program = (
        "import sys; from tests.celery import app_fixed_clock; "
        "from django.core.management import execute_from_command_line as run; "
        "run(['manage.py', 'runs', '--days', '30', '--format', 'json'])"
    )
    code, out, _ = finish(start(["-c", program], NOW=AFTERWARDS))
    return code, json.loads(out)


def test_what_is_due_is_awarded_and_seen_by_the_probe(every_second, stack, tmp_path):
    code, before = probe()
    assert (code, len(before["overdue"])) == (4, DAYS + WEEKS)

    stack.worker()
    stack.beat()
    wait_until(everything_is_done, "the awards")
    code, after = probe()

    assert (code, after["overdue"]) == (0, [])
    awarded = [each for each in after["periods"] if each["state"] == "done"]
    assert len(awarded) == DAYS + WEEKS
    assert {each["trigger"] for each in awarded} == {"beat"}
    assert {each["state"] for each in after["periods"]} == {"done", "no activity"}
    assert_as_if_undisturbed(tmp_path)


def test_after_ten_days_one_tick_awards_every_day_and_week_oldest_first(stack, tmp_path):
    """Down from Friday the 23rd to Sunday of the week after, over a Monday."""
    for day in (15, 16, 19, 20, 21, 22):
        in_process("award_daily", "--date", f"2004-04-{day}")
    in_process("award_weekly", "--week", "2004-04-12")
    stack.worker()

    stack.send("award_due")
    wait_until(everything_is_done, "the awards")

    runs = AwardRun.objects.filter(trigger=RunTrigger.BEAT).order_by("started_at")
    order = [f"{run.cadence} {run.reference_date}" for run in runs]
    assert order == [
        *(f"daily 2004-04-{day}" for day in (23, 24, 25)),
        "weekly 2004-04-19",
        *(f"daily 2004-04-{day}" for day in range(26, 31)),
        *(f"daily 2004-05-0{day}" for day in (1, 2)),
        "weekly 2004-04-26",
    ]
    assert_as_if_undisturbed(tmp_path)


def test_a_broker_that_is_down_when_beat_rings_loses_no_day(every_second, stack, fault, tmp_path):
    beat = stack.beat()
    beat.wait_for("Sending due task")
    stack.stop_broker()
    beat.wait_for("Couldn't apply scheduled task")
    fault("F19", "a broker that is down when beat rings")

    stack.start_broker()
    stack.worker()
    wait_until(everything_is_done, "the awards")

    assert_as_if_undisturbed(tmp_path)


def test_two_beats_ring_twice_and_nothing_is_paid_twice(every_second, stack, fault, tmp_path):
    stack.worker()
    beats = [stack.beat(), stack.beat()]
    wait_until(everything_is_done, "the awards")
    for beat in beats:
        beat.wait_for("Sending due task")
    fault("F21", "two beats")

    assert_as_if_undisturbed(tmp_path)
