"""Workers, beats and a broker around the database of a test: processes as a user starts them."""

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from redis import Redis

from localservers.broker import LocalBroker
from localservers.process_group import ProcessGroup
from rewards_site.celery import app
from tests.processes import ROOT, TIMEOUT_SECONDS, environment


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.1)


class Program:
    """A worker or a beat, with its output in a file."""

    def __init__(self, command: list[str], log: Path, **settings: str) -> None:
        self.log = log
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

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, text: str) -> None:
        """Wait until the program has said `text`."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while text not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, f"{text!r} is not in: {self.said()}"
            time.sleep(0.1)

    def children(self) -> list[int]:
        """Return the processes of a worker that do its tasks."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(child) for child in listed.split()]

    def kill(self) -> None:
        """Kill the program and its child processes."""
        self._group.close()


class Stack:
    """What a test starts; all of it ends with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broker = LocalBroker(folder / "broker")
        self.programs: list[Program] = []
        self.settings = {
            "CELERY_BROKER_URL": self.broker.url,
            "REWARDS_BATCH_SIZE": "25",
            "DATABASE_LOCK_TIMEOUT": "600",  # who is held, stays held
        }
        self._broker_process = ExitStack()

    def start_broker(self) -> None:
        self._broker_process.enter_context(self.broker.running())

    def stop_broker(self) -> None:
        """Stop the broker, which forgets all it held."""
        self._broker_process.close()

    def redis(self) -> Redis:
        return Redis(unix_socket_path=str(self.broker.home / "socket"))

    def worker(self, *options: str, application: str = "rewards_site", **settings: str) -> Program:
        """Start a worker and wait until it is ready."""
        name = f"worker-{len(self.programs)}"
        worker = self._start(
            name,
            [*_celery(application), "worker", "--hostname", f"{name}@test", "--loglevel", "INFO"],
            *("--concurrency", "1", "--without-mingle", "--without-gossip", *options),
            **settings,
        )
        worker.wait_for("ready.")
        return worker

    def beat(self, **settings: str) -> Program:
        """Start a beat and wait until it begins."""
        name = f"beat-{len(self.programs)}"
        beat = self._start(
            name, [*_celery("rewards_site"), "beat", "--loglevel", "INFO"], **settings
        )
        beat.wait_for("beat: Starting")
        return beat

    def send(self, task: str, *arguments: object, **options: Any) -> None:
        """Put a message on the queue, as beat does."""
        with app.connection_for_write(url=self.broker.url) as connection:
            app.send_task(task, args=arguments, connection=connection, **options)

    def tick_until(self, condition: Callable[[], bool], what: str) -> int:
        """Ring as beat does, though faster, until `condition` holds; return how often."""
        ticks = 0
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"{what} never came: {self._said()}"
            self.send("award_due")
            ticks += 1
            for _ in range(20):
                if condition():
                    break
                time.sleep(0.1)
        return ticks

    def is_idle(self) -> bool:
        """Return whether no message is waiting and no task at work."""
        with self.redis() as redis:
            return redis.llen("rewards") + redis.hlen("unacked") == 0

    def end(self) -> None:
        for program in self.programs:
            program.kill()
        self.stop_broker()

    def _start(self, name: str, command: list[str], *options: str, **settings: str) -> Program:
        program = Program(
            [*command, *options],
            self.folder / f"{name}.log",
            **(self.settings | settings),
        )
        self.programs.append(program)
        return program

    def _said(self) -> str:
        return "\n".join(f"{each.log.name}:\n{each.said()[-3000:]}" for each in self.programs)


def _celery(application: str) -> list[str]:
    return [sys.executable, "-m", "celery", "--quiet", "-A", application]
