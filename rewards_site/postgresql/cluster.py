"""One PostgreSQL cluster of ours in one folder: made, started, asked, stopped."""

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

from rewards_site.postgresql.programs import Programs, find_programs
from rewards_site.postgresql.system import (
    SHORT_PREFIX,
    Account,
    LocalDatabaseError,
    can_hold_socket,
    free_port,
    server_account,
    short_socket_folder,
    works_in,
)

NAME = "rewards"  # of the database and of its superuser
PATIENCE = 30  # seconds a server may take to recover, to start or to stop


class ConnectionParameters(TypedDict):
    """What psycopg.connect() needs."""

    host: str
    port: int
    user: str
    password: str
    dbname: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server behind our socket says of itself."""

    parameters: ConnectionParameters
    version: str
    has_database: bool
    has_moved: bool
    """It serves our data, but was started when the folder had another name."""


@dataclass(frozen=True)
class Cluster:
    """Whoever changes anything here (create, start, stop) holds LocalDatabase's lock."""

    home: Path
    durable: bool

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def version(self) -> str | None:
        """The major version of the data; None when there is none yet."""
        try:
            return (self.data / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            return None

    def create(self, account: Account) -> None:
        """Make an empty cluster aside and rename it, so that a half-made one is never used."""
        self.clear_half_made()
        aside = Path(tempfile.mkdtemp(prefix=f"{self.home.name}.new-", dir=self.home.parent))
        try:
            account.own(aside)
            programs = find_programs().within_reach(account=account, home=aside)
            account.write(aside / "password", secrets.token_hex(24) + "\n")
            command = [programs.path("initdb"), "--pgdata=data", f"--username={NAME}"]
            command += ["--pwfile=password", "--auth=scram-sha-256", "--encoding=UTF8"]
            command += ["--locale=C"]
            if programs.major >= 17:
                # Sorts by code point like C, and knows upper case beyond ASCII.
                command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
            if not self.durable:
                command += ["--no-sync"]
            result = account.run(command, cwd=aside)
            if result.returncode != 0:
                raise LocalDatabaseError(
                    f"PostgreSQL could not make its data folder in {self.home}: "
                    f"{_tail(result.stdout + result.stderr)}"
                )
            with (aside / "data" / "postgresql.conf").open("a") as configuration:
                configuration.write("include = '../server.conf'\n")
            aside.rename(self.home)
        finally:
            self.clear_half_made()

    def clear_half_made(self) -> None:
        """Remove what interrupted calls of create() left, though an orphan may still write it."""
        for _ in range(20):
            leftovers = list(self.home.parent.glob(f"{self.home.name}.new-*"))
            if not leftovers:
                return
            for leftover in leftovers:
                shutil.rmtree(leftover, ignore_errors=True)
            time.sleep(0.05)

    def start(self, account: Account) -> None:
        """Start the server in a session of its own; the caller has seen that none answers."""
        programs = self._programs(account)
        if self.process() is None:
            # PostgreSQL takes any live process with the number noted there for its server. Should
            # one be running after all, its shared memory still keeps a second from starting.
            (self.data / "postmaster.pid").unlink(missing_ok=True)
        port = self._remembered()[0]
        deadline = time.monotonic() + PATIENCE
        while True:
            port = free_port(port)
            self._configure(account, port=port)
            result = self._pg_ctl(programs, account, "start", "-lserver.log")
            if result.returncode == 0:
                return
            log = self.log()
            if "Address already in use" in log:
                port = 0  # taken since we looked
            elif "shared memory block" not in log:  # of a killed server whose children still end
                break
            if time.monotonic() > deadline:
                break
            time.sleep(0.2)
        raise LocalDatabaseError(
            f"The private database in {self.home} did not start: {log or _tail(result.stderr)}"
        )

    def stop(self) -> bool:
        """Stop the server; False when none was running."""
        # pg_ctl signals whatever number the pid file holds: first know that it is our server.
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

    def ask(self) -> Answer | None:
        """The answer of our running server; None when there is none.

        What answers at the remembered socket may be the server of the folder that this one is a
        copy of, so it must also name our data folder.
        """
        try:
            password = (self.home / "password").read_text().strip()
        except FileNotFoundError:
            return None
        port, folder = self._remembered()
        if port == 0:
            return None
        parameters = ConnectionParameters(
            host=str(folder), port=port, user=NAME, password=password, dbname=NAME
        )
        try:
            with _connect(parameters) as connection:
                row = connection.execute(
                    "SELECT current_setting('data_directory'), current_setting('server_version'),"
                    " EXISTS (SELECT FROM pg_database WHERE datname = %s)",
                    [NAME],
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
        return Answer(
            parameters=parameters,
            version=row[1].split()[0],  # Debian adds the name of its package
            has_database=row[2],
            has_moved=not is_here,
        )

    def create_database(self, answer: Answer) -> None:
        with _connect(answer.parameters) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(NAME)))

    def wait_for_answer(self) -> Answer | None:
        """Like ask(), but patient with a server that starts, recovers or stops."""
        deadline = time.monotonic() + PATIENCE
        while (answer := self.ask()) is None:
            process = self.process()
            if process is None:
                return None
            if time.monotonic() > deadline:
                raise LocalDatabaseError(
                    f"The private database in {self.home} runs as process {process} "
                    f"but does not answer: {self.log()}"
                )
            time.sleep(0.1)
        return answer

    def process(self) -> int | None:
        """The number of our live server process, known by the folder it works in.

        A number alone proves nothing: after a crash it may be anybody's.
        """
        try:
            process = abs(int((self.data / "postmaster.pid").read_text().split()[0]))
            os.kill(process, 0)
        except (FileNotFoundError, IndexError, ValueError, ProcessLookupError, PermissionError):
            return None
        return process if works_in(process, self.data) else None

    def log(self) -> str:
        """The last lines of the server's log, on one line."""
        try:
            return _tail((self.home / "server.log").read_text(errors="replace"))
        except FileNotFoundError:
            return ""

    def _programs(self, account: Account) -> Programs:
        programs = find_programs(major=int(self.version or 0))
        return programs.within_reach(account=account, home=self.home)

    def _pg_ctl(
        self, programs: Programs, account: Account, action: str, option: str
    ) -> subprocess.CompletedProcess[str]:
        # Relative names, because pg_ctl hands them to a shell.
        command = [programs.path("pg_ctl"), action, "-w", f"-t{PATIENCE}", "-Ddata", option]
        return account.run(command, cwd=self.home)

    def _configure(self, account: Account, *, port: int) -> None:
        """Write what this start needs; the socket's folder is new each time, without leftovers."""
        self._remove_socket_folder()
        folder = self.home / "socket"
        known = {"port": port, "socket": "socket"}  # relative: the whole folder may move
        if can_hold_socket(folder):
            folder.mkdir(mode=0o700)
            account.own(folder)
        else:
            folder = short_socket_folder(account)
            known["socket"] = str(folder)
        account.write(self.home / "server.json", json.dumps(known))
        settings: dict[str, object] = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": '"{}"'.format(str(folder).replace('"', '""')),
            "max_connections": 50,
            "cluster_name": "rewards-private",  # tells its processes apart in ps
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_checkpoints": "off",
        }
        if not self.durable:
            settings |= dict.fromkeys(("fsync", "synchronous_commit", "full_page_writes"), "off")
        lines = [f"{name} = {_quoted(value)}\n" for name, value in settings.items()]
        account.write(self.home / "server.conf", "".join(lines))
        log = self.home / "server.log"
        if log.exists():  # each start begins a log and keeps the one before
            log.replace(self.home / "server.log.1")

    def _remembered(self) -> tuple[int, Path]:
        """Port and socket folder of the last start; port 0 before the first."""
        try:
            known = json.loads((self.home / "server.json").read_text())
            return int(known["port"]), self.home / known["socket"]
        except (FileNotFoundError, KeyError, TypeError, ValueError):
            return 0, self.home / "socket"

    def _remove_socket_folder(self) -> None:
        shutil.rmtree(self.home / "socket", ignore_errors=True)
        folder = self._remembered()[1]
        if folder.name.startswith(SHORT_PREFIX):
            shutil.rmtree(folder, ignore_errors=True)


def _connect(server: ConnectionParameters) -> psycopg.Connection[tuple[Any, ...]]:
    """A connection to the database every server has, outside any transaction."""
    parameters = server | {"dbname": "postgres"}
    return psycopg.connect(make_conninfo(**parameters), connect_timeout=PATIENCE, autocommit=True)


def _quoted(value: object) -> str:
    """A value in the spelling of postgresql.conf."""
    text = str(value).replace("\\", "\\\\").replace("'", "''")
    return f"'{text}'"


def _tail(text: str, lines: int = 4) -> str:
    return " | ".join([line.strip() for line in text.splitlines() if line.strip()][-lines:])
