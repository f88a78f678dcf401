"""Run the project's commands in processes of their own, without Django's start-up each time.

Run as a program, this is the parent of those processes: it sets Django up, reads requests as lines
of JSON, and forks. A child calls `execute_from_command_line`, as manage.py does, or gunicorn.
"""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[2]

TIMEOUT_SECONDS = 600
"""When a wait for a command fails: only a hang takes so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a process ended."""

    code: int
    """Its exit code; minus the signal that ended it."""
    out: str
    err: str


class ForkServer:
    """The client side, for the tests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started = 0
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ
            | {
                "PYTHONPATH": str(ROOT),
                "DJANGO_SETTINGS_MODULE": "rewards_site.settings",
                "DATABASE_URL": "postgres://nobody@/none",  # each request names its own
                "DEBUG": "true",
            },
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    def start(
        self,
        *argv: str,
        database: dict[str, Any],
        settings: dict[str, Any],
        environment: dict[str, str],
        program: str = "manage.py",
        clock: str | None = None,
    ) -> "Command":
        """Start `manage.py ARGV`, or `gunicorn ARGV`, on a database, with some settings replaced.

        `environment` says the same to the processes that the command starts in turn. `clock` is
        the time that the process reads, instead of the real one.
        """
        with self._lock:
            self._started += 1
            files = self._folder / f"{self._started}"
        pid = self._request(
            {
                "argv": [program, *argv],
                "database": database,
                "settings": settings,
                "environment": environment,
                "clock": clock,
                "files": str(files),
            }
        )
        return Command(server=self, pid=pid, files=files)

    def poll(self, pid: int) -> int | None:
        """Return the exit code of a command, None while it runs."""
        code = self._request({"poll": pid})
        return None if code is None else int(code)

    def close(self) -> None:
        with self._process:
            self._stdin.close()

    def _request(self, request: dict[str, Any]) -> Any:
        with self._lock:
            self._stdin.write(json.dumps(request) + "\n")
            self._stdin.flush()
            return json.loads(self._stdout.readline())


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A started process."""

    server: ForkServer
    pid: int
    files: Path

    @property
    def has_ended(self) -> bool:
        return self.server.poll(self.pid) is not None

    def wait(self) -> Outcome:
        """Wait for the end. A process that hangs is killed, and the test fails."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while (code := self.server.poll(self.pid)) is None:
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError(f"The command hangs: {self._read('err')}")
            time.sleep(0.004)
        return Outcome(code=code, out=self._read("out"), err=self._read("err"))

    def _read(self, name: str) -> str:
        return self.files.with_suffix(f".{name}").read_text()


def _serve() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    # Imports what a command would import later: the checks load the admin and its forms.
    call_command("check", stdout=io.StringIO())
    ended: dict[int, int] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            child = request["poll"]
            if child not in ended:
                pid, status = os.waitpid(child, os.WNOHANG)
                ended |= {pid: os.waitstatus_to_exitcode(status)} if pid else {}
            answer = ended.get(child)
        else:
            answer = os.fork()
            if answer == 0:
                _run(**request)
            ended.pop(answer, None)  # process ids are reused
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _run(
    argv: list[str],
    database: dict[str, Any],
    settings: dict[str, Any],
    environment: dict[str, str],
    clock: str | None,
    files: str,
) -> NoReturn:
    from django.conf import settings as django_settings
    from django.core.management import execute_from_command_line
    from django.db import connections
    from django.utils import timezone

    stdin = os.open(os.devnull, os.O_RDONLY)
    stdout = os.open(f"{files}.out", os.O_WRONLY | os.O_CREAT, 0o600)
    stderr = os.open(f"{files}.err", os.O_WRONLY | os.O_CREAT, 0o600)
    for number, handle in enumerate([stdin, stdout, stderr]):
        os.dup2(handle, number)
    connections.settings["default"] |= database
    os.environ.update(environment)
    for name, value in settings.items():
        setattr(django_settings, name, value)
    if clock is not None:
        timezone.now = lambda: datetime.fromisoformat(clock)
    code = 1
    try:
        if argv[0] == "gunicorn":
            from gunicorn.app.wsgiapp import run

            sys.argv = argv
            run()
        else:
            execute_from_command_line(argv)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
