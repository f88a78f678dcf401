"""Many faults in one run of everything, drawn at random; and what takes longer to show."""

import os
import random
import signal
import time
from collections import Counter

import pytest
from django.core.management import call_command

from tests.celery.sample import (
    HELD,
    assert_as_if_undisturbed,
    everything_is_done,
    held_in_the_middle,
)
from tests.celery.stack import Stack, wait_until
from tests.processes import another_session, wait_until_held
from tests.test_sample import in_process


class Chaos:
    """Two workers and a beat, to which things happen."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self.stack = stack
        self.random = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.workers = [stack.worker(), stack.worker()]
        self.beat = stack.beat()

    def strike(self) -> None:
        fault = self.random.choice(
            [self.kill_child, self.kill_worker, self.empty_broker, self.restart_broker,
             self.restart_beat, self.repeat_message]
        )  # fmt: skip
        fault()
        self.done[fault.__name__] += 1

    def kill_child(self) -> None:
        children = self.random.choice(self.workers).children()
        if children:
            os.kill(self.random.choice(children), signal.SIGKILL)

    def kill_worker(self) -> None:
        number = self.random.randrange(2)
        self.workers[number].kill()
        self.workers[number] = self.stack.worker()

    def empty_broker(self) -> None:
        with self.stack.redis() as redis:
            redis.flushall()

    def restart_broker(self) -> None:
        self.stack.stop_broker()
        time.sleep(1)
        self.stack.start_broker()

    def restart_beat(self) -> None:
        self.beat.kill()
        self.beat = self.stack.beat()

    def repeat_message(self) -> None:
        for _ in range(20):
            self.stack.send("award_due", task_id="again")


@pytest.mark.parametrize("seed", range(1, 6))
def test_whatever_happens_the_ledger_is_the_undisturbed_one(
    seed, every_second, stack, fault, tmp_path
):
    with another_session() as session:  # so that there is a time in which things can happen
        session.execute(
            """
            CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END $$;
            CREATE TRIGGER dawdle BEFORE INSERT ON rewards_scorehistory FOR EACH ROW
            EXECUTE FUNCTION dawdle();
            """
        )
    chaos = Chaos(stack, seed)

    while not everything_is_done() and chaos.done.total() < 8:
        chaos.strike()
        time.sleep(chaos.random.uniform(0.5, 2))
    fault("F18", f"chaos {seed}: {dict(chaos.done)}", chaos.done.total())
    assert chaos.done.total() >= 4
    wait_until(everything_is_done, "the end")

    assert_as_if_undisturbed(tmp_path)


def test_a_task_that_hangs_is_ended_and_its_work_done_again(stack, fault, tmp_path):
    for day in (15, 16, *range(19, 28)):
        in_process("award_daily", "--date", f"2004-04-{day}")
    for monday in ("2004-04-12", "2004-04-19"):
        in_process("award_weekly", "--week", monday)
    worker = stack.worker(application="tests.celery.app_short_time_limit")
    with held_in_the_middle() as release:
        stack.send("award_due")
        wait_until_held(worker.process)
        worker.wait_for("SoftTimeLimitExceeded")
        fault("F16", f"a task that hangs, on {HELD}")
        release()

    stack.tick_until(everything_is_done, "the end")

    assert_as_if_undisturbed(tmp_path)


def test_a_broker_without_memory_refuses_loudly_and_the_second_bell_is_heard(
    every_second, stack, fault, tmp_path
):
    with stack.redis() as redis:
        redis.config_set("maxmemory", "1")
    beat = stack.beat()
    beat.wait_for("used memory > 'maxmemory'")
    fault("F20", "a broker without memory")

    call_command("award_due", verbosity=0)

    assert_as_if_undisturbed(tmp_path)
