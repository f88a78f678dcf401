"""Random faults of workers, beat and broker while everything is awarded."""

import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress

import pytest

from tests.celery.sample import all_is_awarded, assert_awarded_once
from tests.celery.stack import Stack
from tests.processes import another_session, wait_until


class Chaos:
    """Two workers, a beat and a broker, and the faults that happen to them."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self.stack = stack
        self.random = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.workers = [stack.worker(), stack.worker()]
        self.beat = stack.beat()

    def inject(self) -> None:
        fault = self.random.choice(
            [self.kill_child, self.kill_worker, self.empty_broker, self.restart_broker,
             self.cut_connections, self.restart_beat, self.repeat_message]
        )  # fmt: skip
        fault()
        self.done[fault.__name__] += 1

    def kill_child(self) -> None:
        children = self.random.choice(self.workers).children()
        if children:
            with suppress(ProcessLookupError):
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

    def cut_connections(self) -> None:
        """Close the connections of all clients to the broker."""
        with self.stack.redis() as redis:
            redis.client_kill_filter(_type="normal", skipme=True)

    def restart_beat(self) -> None:
        self.beat.kill()
        self.beat = self.stack.beat()

    def repeat_message(self) -> None:
        for _ in range(20):
            self.stack.send("award_due", task_id="again")


@pytest.mark.parametrize("seed", range(1, 6))
def test_random_faults_do_not_change_the_ledger(seed, every_second, stack, fault, tmp_path):
    with another_session() as session:  # slow inserts, so that faults hit work in progress
        session.execute(
            """
            CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END $$;
            CREATE TRIGGER sleep BEFORE INSERT ON rewards_scorehistory FOR EACH ROW
            EXECUTE FUNCTION sleep();
            """
        )
    chaos = Chaos(stack, seed)

    while not all_is_awarded() and chaos.done.total() < 8:
        chaos.inject()
        time.sleep(chaos.random.uniform(0.5, 2))
    for name, times in chaos.done.items():
        fault("F18", f"random faults: {name.replace('_', ' ')}", times)
    assert chaos.done.total() >= 4
    wait_until(all_is_awarded, stack.outputs)

    assert_awarded_once(tmp_path)
