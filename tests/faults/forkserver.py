"""Start the project's commands in processes of their own, without Django's start-up each time.

Run as a program it is the parent of those processes: it has Django ready, reads requests as lines
of JSON and forks. Every child goes through `execute_from_command_line`, as manage.py does.
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
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a process ended."""

    code: int
    """Its exit code; that of a signal is negative."""
    out: str
    err: str


class ForkServer:
    """The parent, seen from the tests."""

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
                "DATABASE_URL": "postgres://nobody@/none",  # each child is told its own
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
    ) -> "Started":
        """Start `manage.py ARGV` on a database, with settings that differ.

        `environment` says the same to processes that this one starts in turn.
        """
        with self._lock:
            self._started += 1
            files = self._folder / f"{self._started}"
        pid = self._ask(
            {
                "argv": ["manage.py", *argv],
                "database": database,
                "settings": settings,
                "environment": environment,
                "files": str(files),
            }
        )
        return Started(server=self, pid=pid, files=files)

    def poll(self, pid: int) -> int | None:
        code = self._ask({"wait": pid})
        return None if code is None else int(code)

    def close(self) -> None:
        with self._process:
            self._stdin.close()

    def _ask(self, request: dict[str, Any]) -> Any:
        with self._lock:
            self._stdin.write(json.dumps(request) + "\n")
            self._stdin.flush()
            return json.loads(self._stdout.readline())


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A process on its way."""

    server: ForkServer
    pid: int
    files: Path

    @property
    def is_over(self) -> bool:
        return self.server.poll(self.pid) is not None

    def wait(self, patience: float = 60) -> Outcome:
        """Return how it ended; kill it and fail when it does not."""
        deadline = time.monotonic() + patience
        while (code := self.server.poll(self.pid)) is None:
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError(f"still running after {patience} s: {self._read('err')}")
            time.sleep(0.004)
        return Outcome(code=code, out=self._read("out"), err=self._read("err"))

    def _read(self, name: str) -> str:
        return self.files.with_suffix(f".{name}").read_text()


def _serve() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    # Whatever a command would import by and by: its checks reach the pages and their forms.
    call_command("check", stdout=io.StringIO())
    ended: dict[int, int] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            wanted = request["wait"]
            if wanted not in ended:
                pid, status = os.waitpid(wanted, os.WNOHANG)
                ended |= {pid: os.waitstatus_to_exitcode(status)} if pid else {}
            answer = ended.get(wanted)
        else:
            answer = os.fork()
            if answer == 0:
                _become(**request)
            ended.pop(answer, None)  # numbers of processes come again
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _become(
    argv: list[str],
    database: dict[str, Any],
    settings: dict[str, Any],
    environment: dict[str, str],
    files: str,
) -> NoReturn:
    from django.conf import settings as django_settings
    from django.core.management import execute_from_command_line
    from django.db import connections

    nothing = os.open(os.devnull, os.O_RDONLY)
    out = os.open(f"{files}.out", os.O_WRONLY | os.O_CREAT, 0o600)
    err = os.open(f"{files}.err", os.O_WRONLY | os.O_CREAT, 0o600)
    for number, handle in enumerate([nothing, out, err]):
        os.dup2(handle, number)
    connections.settings["default"] |= database
    os.environ.update(environment)
    for name, value in settings.items():
        setattr(django_settings, name, value)
    code = 1
    try:
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
