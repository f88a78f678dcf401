"""A broker, workers and beats around the database of a test: processes as a user starts them."""

import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from redis import Redis

from localservers.broker import LocalBroker
from localservers.process_group import ProcessGroup
from rewards_site.celery import app
from tests.processes import ROOT, TIMEOUT_SECONDS, environment, wait_until

QUEUE = "rewards"
UNACKED = ["unacked", "unacked_index", "unacked_mutex"]
"""Where kombu keeps the messages that no worker has acknowledged yet."""


class Program:
    """A worker or a beat, with its output in a file."""

    def __init__(self, command: list[str], log: Path, **settings: str) -> None:
        self.log = log
        self._offset = 0
        self._group = ExitStack()
        group = self._group.enter_context(ProcessGroup())
        with log.open("wb") as output:
            self.process = group.start(
                command,
                cwd=ROOT,
                env=environment(**settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def forget_output(self) -> None:
        """Leave what the program has printed so far out of output()."""
        self._offset = self.log.stat().st_size

    def output(self) -> str:
        return self.log.read_bytes()[self._offset :].decode(errors="replace")

    def wait_for(self, text: str) -> None:
        """Wait until the output contains `text`."""

        def is_there() -> bool:
            assert self.process.poll() is None, self.output()
            return text in self.output()

        wait_until(is_there, lambda: f"{text!r} is not in: {self.output()}")

    def children(self) -> list[int]:
        """Return the process ids of a worker's pool."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(child) for child in listed.split()]

    def kill(self) -> None:
        """Kill the program and its child processes."""
        self._group.close()
        self.process.wait()


class Stack:
    """A broker and two shared workers that last for all tests, and what one test starts itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broker = LocalBroker(folder / "broker")
        self.settings = {
            "CELERY_BROKER_URL": self.broker.url,
            "REWARDS_BATCH_SIZE": "25",
            "DATABASE_LOCK_TIMEOUT": f"{TIMEOUT_SECONDS}",  # a held process stays held
        }
        self._broker_process: ExitStack | None = None
        self._shared: list[Program] = []
        self._own: list[Program] = []
        self._numbers = count()

    @contextmanager
    def for_one_test(self) -> Iterator["Stack"]:
        """Yield this stack with an empty queue; afterwards end what the test has started."""
        self.start_broker()
        with self.redis() as redis:
            redis.delete(QUEUE, *UNACKED)
            redis.config_set("maxmemory", "0")
        try:
            yield self
        finally:
            self._end(self._own)
            if self._shared:
                wait_until(self._has_discarded_all, self.outputs)

    def close(self) -> None:
        self._end(self._own)
        self.stop_broker()

    # --- Broker ---------------------------------------------------------------------------------

    def start_broker(self) -> None:
        """Start the broker unless it is running."""
        if self._broker_process is None:
            self._broker_process = ExitStack()
            self._broker_process.enter_context(self.broker.running())

    def stop_broker(self) -> None:
        """Stop the broker, which loses its messages, and the shared workers."""
        self._end(self._shared)
        if self._broker_process is not None:
            self._broker_process.close()
            self._broker_process = None

    def redis(self) -> Redis:
        return Redis(unix_socket_path=str(self.broker.home / "socket"))

    def send(self, task: str, *arguments: object, **options: Any) -> None:
        """Put a message on the queue, as beat does."""
        with app.connection_for_write(url=self.broker.url) as connection:
            app.send_task(task, args=arguments, connection=connection, **options)

    def tick_until(self, condition: Callable[[], bool]) -> None:
        """Send the message that beat sends, every two seconds, until `condition` holds."""
        last = -math.inf

        def has_come() -> bool:
            nonlocal last
            if condition():
                return True
            if time.monotonic() - last > 2:
                last = time.monotonic()
                self.send("award_due")
            return False

        wait_until(has_come, self.outputs)

    def is_idle(self) -> bool:
        """Return whether no message waits and no task runs."""
        with self.redis() as redis:
            return redis.llen(QUEUE) + redis.hlen("unacked") == 0

    def _has_discarded_all(self) -> bool:
        """Discard the waiting messages; return whether no task runs any more."""
        with self.redis() as redis:
            redis.delete(QUEUE)
        return self.is_idle()

    # --- Programs -------------------------------------------------------------------------------

    def shared_workers(self) -> list[Program]:
        """Return two workers of the default configuration that serve other tests too."""
        if any(worker.process.poll() is not None for worker in self._shared):
            self._end(self._shared)
        while len(self._shared) < 2:
            self._shared.append(self._start_worker("rewards_site"))
        for worker in self._shared:
            worker.forget_output()
        return list(self._shared)

    def worker(self, *options: str, application: str = "rewards_site", **settings: str) -> Program:
        """Start a worker of the test's own; it gets all messages from then on."""
        self._end(self._shared)
        worker = self._start_worker(application, *options, **settings)
        self._own.append(worker)
        return worker

    def beat(self, **settings: str) -> Program:
        """Start a beat."""
        beat = self._start("beat", [*_celery("rewards_site"), "beat"], **settings)
        self._own.append(beat)
        beat.wait_for("beat: Starting")
        return beat

    def outputs(self) -> str:
        """Return the output of all programs."""
        return "\n".join(
            f"{program.log.name}:\n{program.output()}" for program in self._own + self._shared
        )

    def _start_worker(self, application: str, *options: str, **settings: str) -> Program:
        name = f"worker-{next(self._numbers)}"
        worker = self._start(
            name,
            [*_celery(application), "worker", "--hostname", f"{name}@test"],
            *("--concurrency", "1", "--without-mingle", "--without-gossip", *options),
            **settings,
        )
        worker.wait_for("ready.")
        return worker

    def _start(self, name: str, command: list[str], *options: str, **settings: str) -> Program:
        log = self.folder / f"{name}-{next(self._numbers)}.log"
        return Program([*command, "--loglevel", "INFO", *options], log, **self.settings | settings)

    @staticmethod
    def _end(programs: list[Program]) -> None:
        while programs:
            programs.pop().kill()


def _celery(application: str) -> list[str]:
    return [sys.executable, "-m", "celery", "--quiet", "-A", application]
