"""A broker that stops, restarts without its messages, or is full."""

from django.core.management import call_command

from tests.celery.sample import all_is_awarded, assert_awarded_once, held_in_the_middle
from tests.processes import wait_until, wait_until_held


def test_a_broker_that_restarts_empty_delays_awards_by_a_tick(stack, fault, tmp_path):
    worker = stack.worker()
    with held_in_the_middle() as release:
        stack.send("award_due")
        wait_until_held(worker.process)
        assert not stack.is_idle()
        stack.stop_broker()
        stack.start_broker()
        assert stack.is_idle()
        fault("F18", "a broker restarted empty in the middle of a run")
        release()
    worker.wait_for("Connection to broker lost")

    stack.tick_until(all_is_awarded)

    assert_awarded_once(tmp_path)


def test_a_broker_that_is_down_when_beat_sends_loses_no_day(every_second, stack, fault, tmp_path):
    beat = stack.beat()
    beat.wait_for("Sending due task")
    stack.stop_broker()
    beat.wait_for("Couldn't apply scheduled task")
    fault("F19", "a broker that is down when beat sends")

    stack.start_broker()
    stack.worker()
    wait_until(all_is_awarded, stack.outputs)

    assert_awarded_once(tmp_path)


def test_a_full_broker_is_logged_and_the_command_awards(every_second, stack, fault, tmp_path):
    with stack.redis() as redis:
        redis.config_set("maxmemory", "1")
    beat = stack.beat()
    beat.wait_for("used memory > 'maxmemory'")
    fault("F20", "a broker without memory")

    call_command("award_due", verbosity=0)

    assert_awarded_once(tmp_path)
