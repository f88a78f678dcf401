"""One PostgreSQL cluster in one folder: create, start, query, stop."""

import json
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from localservers.postgresql.programs import Programs, find_programs
from localservers.postgresql.system import (
    SHORT_PREFIX,
    Account,
    LocalDatabaseError,
    can_hold_socket,
    free_port,
    server_account,
    short_socket_folder,
    works_in,
)

START_TIMEOUT_SECONDS = 60  # for a server to recover, to start or to stop


class ConnectionParameters(TypedDict):
    """Arguments of psycopg.connect()."""

    host: str
    port: int
    user: str
    password: str
    dbname: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """What the server at the cluster's socket reports about itself."""

    parameters: ConnectionParameters
    version: str
    has_database: bool
    has_moved: bool
    """The server was started when the folder had another name."""


@dataclass(frozen=True)
class Cluster:
    """Callers of create(), start(), stop() must hold LocalDatabase's lock."""

    home: Path
    name: str
    durable: bool

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def version(self) -> str | None:
        """The major version of the data; None if there is none yet."""
        try:
            return (self.data / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            return None

    def create(self, account: Account) -> None:
        """Create an empty cluster under another name, then rename it, so it is never partial."""
        self.remove_incomplete()
        staging = Path(tempfile.mkdtemp(prefix=f"{self.home.name}.new-", dir=self.home.parent))
        try:
            account.own(staging)
            programs = find_programs().executable_by(account, home=staging)
            account.write(staging / "password", secrets.token_hex(24) + "\n")
            command = [programs.path("initdb"), "--pgdata=data", f"--username={self.name}"]
            command += ["--pwfile=password", "--auth=scram-sha-256", "--encoding=UTF8"]
            command += ["--locale=C"]
            if programs.major >= 17:
                # Sorts by code point, as C does, and also converts the case of non-ASCII letters.
                command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
            if not self.durable:
                command += ["--no-sync"]
            result = account.run(command, cwd=staging)
            if result.returncode != 0:
                raise LocalDatabaseError(
                    f"PostgreSQL could not create its data folder in {self.home}: "
                    f"{_tail(result.stdout + result.stderr)}"
                )
            with (staging / "data" / "postgresql.conf").open("a") as configuration:
                configuration.write("include = '../server.conf'\n")
            staging.rename(self.home)
        finally:
            self.remove_incomplete()

    def remove_incomplete(self) -> None:
        """Remove what interrupted calls of create() left; an orphaned initdb may still write."""
        for _ in range(20):
            leftovers = list(self.home.parent.glob(f"{self.home.name}.new-*"))
            if not leftovers:
                return
            for leftover in leftovers:
                shutil.rmtree(leftover, ignore_errors=True)
            time.sleep(0.05)

    def start(self, account: Account) -> None:
        """Start the server in its own session. No server of this cluster may be running."""
        programs = self._programs(account)
        if self.process() is None:
            # PostgreSQL mistakes any process with the pid in this file for its server. If a server
            # is running after all, its shared memory still prevents a second one.
            (self.data / "postmaster.pid").unlink(missing_ok=True)
        port = self._last_address()[0]
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while True:
            port = free_port(port)
            self._configure(account, port=port)
            result = self._pg_ctl(programs, account, "start", "-lserver.log")
            if result.returncode == 0:
                return
            log = self.log()
            if "Address already in use" in log:
                port = 0  # taken since free_port() tried it
            elif "shared memory block" not in log:  # held by children of a killed server
                break
            if time.monotonic() > deadline:
                break
            time.sleep(0.2)
        raise LocalDatabaseError(
            f"The private database in {self.home} did not start: {log or _tail(result.stderr)}"
        )

    def stop(self) -> bool:
        """Stop the server. Return False if none was running."""
        # pg_ctl signals whatever process the pid file names, so make sure that it is our server.
        if self.process() is None:
            return False
        account = server_account(data=self.data)
        result = self._pg_ctl(self._programs(account), account, "stop", "-mfast")
        if result.returncode != 0 and self.process() is not None:
            raise LocalDatabaseError(
                f"The private database in {self.home} did not stop: {_tail(result.stderr)}"
            )
        self._remove_socket_folder()
        return True

    def server_info(self) -> ServerInfo | None:
        """Query the running server; None if there is none.

        If this folder is a copy, the server at the stored socket path may be that of the original,
        so its data folder is compared too.
        """
        try:
            password = (self.home / "password").read_text().strip()
        except FileNotFoundError:
            return None
        port, folder = self._last_address()
        if port == 0:
            return None
        parameters = ConnectionParameters(
            host=str(folder), port=port, user=self.name, password=password, dbname=self.name
        )
        try:
            with _connect(parameters) as connection:
                row = connection.execute(
                    "SELECT current_setting('data_directory'), current_setting('server_version'),"
                    " EXISTS (SELECT FROM pg_database WHERE datname = %s)",
                    [self.name],
                ).fetchone()
        except psycopg.OperationalError:
            return None
        if row is None:
            return None
        try:
            is_here = os.path.samefile(row[0], self.data)
        except FileNotFoundError:
            is_here = False
        if not is_here and self.process() is None:
            return None
        return ServerInfo(
            parameters=parameters,
            version=row[1].split()[0],  # Debian adds the name of its package
            has_database=row[2],
            has_moved=not is_here,
        )

    def create_database(self, info: ServerInfo) -> None:
        with _connect(info.parameters) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.name)))

    def wait_until_ready(self) -> ServerInfo | None:
        """Like server_info(), but wait for a server that is starting, recovering or stopping."""
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while (info := self.server_info()) is None:
            process = self.process()
            if process is None:
                return None
            if time.monotonic() > deadline:
                raise LocalDatabaseError(
                    f"The private database in {self.home} runs as process {process} "
                    f"but does not answer: {self.log()}"
                )
            time.sleep(0.1)
        return info

    def process(self) -> int | None:
        """The pid of the running server; None if there is none.

        A pid file may be stale and its pid reused, so the working folder is compared too.
        """
        try:
            process = abs(int((self.data / "postmaster.pid").read_text().split()[0]))
            os.kill(process, 0)
        except (FileNotFoundError, IndexError, ValueError, ProcessLookupError, PermissionError):
            return None
        return process if works_in(process, self.data) else None

    def log(self) -> str:
        """The end of the server's log, on one line."""
        try:
            return _tail((self.home / "server.log").read_text(errors="replace"))
        except FileNotFoundError:
            return ""

    def _programs(self, account: Account) -> Programs:
        programs = find_programs(major=int(self.version or 0))
        return programs.executable_by(account, home=self.home)

    def _pg_ctl(
        self, programs: Programs, account: Account, action: str, option: str
    ) -> subprocess.CompletedProcess[str]:
        # Relative names, because pg_ctl passes them to a shell.
        command = [
            programs.path("pg_ctl"),
            action,
            "-w",
            f"-t{START_TIMEOUT_SECONDS}",
            "-Ddata",
            option,
        ]
        return account.run(command, cwd=self.home)

    def _configure(self, account: Account, *, port: int) -> None:
        """Write the configuration of this start, with a new folder for the socket."""
        self._remove_socket_folder()
        folder = self.home / "socket"
        address = {"port": port, "socket": "socket"}  # relative: the whole folder may move
        if can_hold_socket(folder):
            folder.mkdir(mode=0o700)
            account.own(folder)
        else:
            folder = short_socket_folder(account)
            address["socket"] = str(folder)
        account.write(self.home / "server.json", json.dumps(address))
        settings: dict[str, object] = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": '"{}"'.format(str(folder).replace('"', '""')),
            "max_connections": 50,
            "cluster_name": "localservers",  # shown by ps
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_checkpoints": "off",
        }
        if not self.durable:
            settings |= dict.fromkeys(("fsync", "synchronous_commit", "full_page_writes"), "off")
        lines = [f"{name} = {_quoted(value)}\n" for name, value in settings.items()]
        account.write(self.home / "server.conf", "".join(lines))
        log = self.home / "server.log"
        if log.exists():  # a new log for this start; keep the previous one
            log.replace(self.home / "server.log.1")

    def _last_address(self) -> tuple[int, Path]:
        """Port and socket folder of the latest start; port 0 before the first."""
        try:
            address = json.loads((self.home / "server.json").read_text())
            return int(address["port"]), self.home / address["socket"]
        except (FileNotFoundError, KeyError, TypeError, ValueError):
            return 0, self.home / "socket"

    def _remove_socket_folder(self) -> None:
        shutil.rmtree(self.home / "socket", ignore_errors=True)
        folder = self._last_address()[1]
        if folder.name.startswith(SHORT_PREFIX):
            shutil.rmtree(folder, ignore_errors=True)


def _connect(server: ConnectionParameters) -> psycopg.Connection[tuple[Any, ...]]:
    """Connect to the database that every server has, in autocommit."""
    parameters = server | {"dbname": "postgres"}
    return psycopg.connect(
        make_conninfo(**parameters), connect_timeout=START_TIMEOUT_SECONDS, autocommit=True
    )


def _quoted(value: object) -> str:
    """Quote a value for postgresql.conf."""
    text = str(value).replace("\\", "\\\\").replace("'", "''")
    return f"'{text}'"


def _tail(text: str, lines: int = 4) -> str:
    return " | ".join([line.strip() for line in text.splitlines() if line.strip()][-lines:])
