"""Whatever happens to workers, beats and the broker, the ledger is the undisturbed one."""

import os
import re
import signal

from rewards.choices import RunStatus
from rewards.models import AwardBatch, AwardRun
from tests.celery.sample import (
    HELD,
    assert_as_if_undisturbed,
    everything_is_done,
    held_in_the_middle,
)
from tests.celery.stack import wait_until
from tests.processes import start, wait_until_held

RUNNING = {"cadence": "daily", "reference_date": HELD, "status": RunStatus.RUNNING}


def test_a_killed_child_of_a_worker_is_replaced(stack, fault, tmp_path):
    worker = stack.worker()
    with held_in_the_middle() as release:
        stack.send("award_due")
        wait_until_held(worker.process)
        assert AwardRun.objects.filter(**RUNNING).exists()
        (child,) = worker.children()
        os.kill(child, signal.SIGKILL)
        release()
    worker.wait_for("WorkerLostError")
    fault("F14", "kill -9 of a worker's child")

    stack.tick_until(everything_is_done, "the end")

    assert worker.process.poll() is None
    assert child not in worker.children()
    assert_as_if_undisturbed(tmp_path)


def test_a_killed_worker_is_not_waited_for(stack, fault, tmp_path):
    with held_in_the_middle() as release:
        worker = stack.worker()
        stack.send("award_due")
        wait_until_held(worker.process)
        assert AwardRun.objects.filter(**RUNNING).exists()
        worker.kill()
        release()
    with stack.redis() as redis:
        assert redis.hlen("unacked") >= 1
        fault("F15", "kill -9 of a whole worker")

    stack.worker()
    stack.tick_until(everything_is_done, "the end")

    with stack.redis() as redis:
        assert redis.hlen("unacked") >= 1  # the tick was faster than the message
    assert_as_if_undisturbed(tmp_path)


def test_the_message_of_a_killed_worker_comes_back_without_a_tick(stack, fault, tmp_path):
    with held_in_the_middle() as release:
        worker = stack.worker()
        stack.send("award_due")
        wait_until_held(worker.process)
        worker.kill()
        release()
    with stack.redis() as redis:
        assert redis.hlen("unacked") >= 1
    fault("F15", "kill -9 of a whole worker, and no tick")

    stack.worker(application="tests.celery.app_short_visibility")
    wait_until(everything_is_done, "the message")

    assert_as_if_undisturbed(tmp_path)


def test_a_message_handed_out_while_its_task_still_runs_changes_nothing(stack, fault, tmp_path):
    with held_in_the_middle() as release, stack.redis() as redis:
        workers = [stack.worker(application="tests.celery.app_short_visibility") for _ in range(2)]
        stack.send("award_due")
        wait_until_held(workers[0].process)
        wait_until(
            lambda: any(b'"award_due"' in message for message in redis.lrange("rewards", 0, -1)),
            "the message, back in the queue",
        )
        fault("F16", "a task longer than the visibility timeout")
        release()

    stack.tick_until(everything_is_done, "the end")

    def received_twice():
        said = "".join(worker.said() for worker in workers)
        ids = re.findall(r"Task award_due\[(\S+)\] received", said)
        return len(ids) > len(set(ids))

    wait_until(received_twice, "the second copy to be worked on")
    assert_as_if_undisturbed(tmp_path)


def test_a_broker_that_comes_back_empty_costs_a_tick(stack, fault, tmp_path):
    worker = stack.worker()
    with held_in_the_middle() as release:
        stack.send("award_due")
        wait_until_held(worker.process)
        with stack.redis() as redis:
            assert redis.llen("rewards") + redis.hlen("unacked") >= 2
        stack.stop_broker()
        stack.start_broker()
        with stack.redis() as redis:
            assert redis.llen("rewards") + redis.hlen("unacked") == 0
        fault("F18", "a broker restarted empty amid a run")
        release()
    worker.wait_for("Connection to broker lost")

    stack.tick_until(everything_is_done, "the end")

    assert_as_if_undisturbed(tmp_path)


def test_the_same_message_fifty_times_is_one_run(stack, fault, tmp_path):
    workers = [stack.worker(), stack.worker()]

    for _ in range(50):
        stack.send("award_due", task_id="one-and-the-same")
    wait_until(stack.is_idle, "an empty queue")
    received = sum(
        worker.said().count("Task award_due[one-and-the-same] received") for worker in workers
    )
    fault("F17", "the same message again", received - 1)

    assert received >= 50
    assert_as_if_undisturbed(tmp_path)


def test_a_week_enqueued_before_its_days_is_paid_all_the_same(stack, fault, tmp_path):
    stack.worker()
    jobs = [
        ["award_weekly", "--week", "2004-04-19", "--enqueue"],
        ["award_daily", "--from", "2004-04-22", "--to", "2004-04-25", "--enqueue"],
    ]

    for job in jobs:
        process = start(["manage.py", *job], **stack.settings)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, ""), out
    order = AwardRun.objects.order_by("started_at").values_list("cadence", flat=True)
    fault("F17", "a week before its days", int(order[0] == "weekly"))
    stack.tick_until(everything_is_done, "the end")

    assert_as_if_undisturbed(tmp_path)


def test_workers_share_a_run_that_a_command_gave_them(stack, tmp_path):
    workers = [stack.worker(), stack.worker()]

    process = start(
        ["manage.py", "award_daily", "--date", "2004-04-30", "--enqueue"],
        **stack.settings | {"REWARDS_BATCH_SIZE": "5"},
    )
    out, err = process.communicate(timeout=60)

    assert (process.returncode, err) == (0, "")
    assert "2004-04-30: Awarded" in out
    assert all("Task award_batches" in worker.said() for worker in workers)
    assert AwardBatch.objects.filter(status="done").count() >= 20
    in_time = AwardRun.objects.get()
    assert in_time.status == RunStatus.DONE
