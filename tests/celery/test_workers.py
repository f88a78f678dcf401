"""Workers that are killed, or whose task takes too long."""

import os
import re
import signal

from rewards.choices import RunStatus
from rewards.models import AwardRun
from tests.celery.sample import HELD, all_is_awarded, assert_awarded_once, held_in_the_middle
from tests.processes import (
    AT_BARRIER,
    another_session,
    wait_until,
    wait_until_held,
    waiting_sessions,
)
from tests.test_sample import in_process


def is_running():
    return AwardRun.objects.filter(
        cadence="daily", reference_date=HELD, status=RunStatus.RUNNING
    ).exists()


def test_a_killed_child_of_a_worker_is_replaced(stack, fault, tmp_path):
    worker = stack.worker()
    with held_in_the_middle() as release:
        stack.send("award_due")
        wait_until_held(worker.process)
        assert is_running()
        (child,) = worker.children()
        os.kill(child, signal.SIGKILL)
        release()
    worker.wait_for("WorkerLostError")
    fault("F14", "kill -9 of a worker's child")

    stack.tick_until(all_is_awarded)

    assert worker.process.poll() is None
    assert child not in worker.children()
    assert_awarded_once(tmp_path)


def test_the_next_tick_does_the_work_of_a_killed_worker(stack, fault, tmp_path):
    kill_a_worker(stack)
    with stack.redis() as redis:
        assert redis.hlen("unacked") >= 1
        fault("F15", "kill -9 of a whole worker")

        stack.worker()
        stack.tick_until(all_is_awarded)

        assert redis.hlen("unacked") >= 1  # the tick was faster than the message
    assert_awarded_once(tmp_path)


def test_a_killed_worker_gives_its_message_back_without_a_tick(stack, fault, tmp_path):
    kill_a_worker(stack)
    with stack.redis() as redis:
        assert redis.hlen("unacked") >= 1
    fault("F15", "kill -9 of a whole worker, and no tick")

    stack.worker(application="tests.celery.app_short_visibility")
    wait_until(all_is_awarded, stack.outputs)

    assert_awarded_once(tmp_path)


def kill_a_worker(stack):
    """Kill a worker and its children in the middle of a run."""
    with held_in_the_middle() as release:
        worker = stack.worker()
        stack.send("award_due")
        wait_until_held(worker.process)
        assert is_running()
        worker.kill()
        release()


def test_a_message_delivered_twice_at_once_changes_nothing(stack, fault, tmp_path):
    with held_in_the_middle() as release, stack.redis() as redis:
        workers = [stack.worker(application="tests.celery.app_short_visibility") for _ in range(2)]
        stack.send("award_due")
        wait_until_held(workers[0].process)

        def is_received_twice():
            ids = re.findall(r"Task award_due\[(\S+)\] received", stack.outputs())
            return len(ids) > len(set(ids))

        def is_delivered_again():
            queue = redis.lrange("rewards", 0, -1)
            return is_received_twice() or any(b'"award_due"' in message for message in queue)

        wait_until(is_delivered_again, stack.outputs)
        fault("F16", "a task longer than the visibility timeout")
        release()

    stack.tick_until(all_is_awarded)

    wait_until(is_received_twice, stack.outputs)
    assert_awarded_once(tmp_path)


def test_a_task_that_hangs_is_ended_and_its_work_done_again(stack, fault, tmp_path):
    for day in (15, 16, *range(19, 28)):
        in_process("award_daily", "--date", f"2004-04-{day}")
    for monday in ("2004-04-12", "2004-04-19"):
        in_process("award_weekly", "--week", monday)
    worker = stack.worker(application="tests.celery.app_short_time_limit")
    with held_in_the_middle() as release, another_session() as session:
        # On a slow machine the limit may end a task before it is held; the next one goes on.
        stack.tick_until(lambda: waiting_sessions(session, AT_BARRIER) == 1)
        worker.forget_output()
        worker.wait_for("SoftTimeLimitExceeded")
        fault("F16", f"a task that hangs, on {HELD}")
        release()

    stack.tick_until(all_is_awarded)

    assert_awarded_once(tmp_path)
