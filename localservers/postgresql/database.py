"""A private PostgreSQL for trials and tests.

Importing this module starts nothing. ``LocalDatabase(folder).ensure_running()`` creates a cluster
under ``folder`` on first use, starts its server if none answers, and leaves the server running for
the next command. Clients connect through a unix socket in a folder that other users cannot enter,
or over TCP on 127.0.0.1; both require a random password that is stored with the data.

``folder`` holds a ``lock`` file and ``cluster``: the data, the server's log, the password and, if
the server's user cannot execute the installed programs, a copy of them. PostgreSQL does not run as
root, so root runs the server as another user (``server_account``). If that user cannot enter
``folder`` either, as in a clone under /root, the cluster is stored in /var/lib/localservers and
``cluster`` is a link to it: the permissions of existing folders are never changed.
"""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from localservers.postgresql.cluster import (
    START_TIMEOUT_SECONDS,
    Cluster,
    ConnectionParameters,
    ServerInfo,
)
from localservers.postgresql.programs import find_programs
from localservers.postgresql.system import Account, LocalDatabaseError, server_account

__all__ = ["ConnectionParameters", "LocalDatabase", "LocalDatabaseError", "LocalDatabaseStatus"]

FALLBACK_FOLDER = Path("/var/lib/localservers")  # survives a reboot; only root can write there
LOCK_TIMEOUT_SECONDS = 2 * START_TIMEOUT_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalDatabaseStatus:
    running: bool
    folder: Path
    """The cluster's real location."""
    url: str | None
    """Without the password; None if the server is not running."""
    version: str | None
    """Of the running server, else of the data; None before the first start."""
    size_bytes: int


@dataclass(frozen=True)
class LocalDatabase:
    """One private database. Any number of processes may use the same folder concurrently.

    ``name`` is the name of the database and of its superuser. ``durable=False`` is for throwaway
    databases: faster, but a crash of the machine corrupts it.
    Methods raise LocalDatabaseError for what a person can cause.
    """

    folder: Path
    name: str = "postgres"
    durable: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder).resolve())

    @property
    def cluster(self) -> Cluster:
        return self._cluster((self.folder / "cluster").resolve())

    def ensure_running(self) -> ConnectionParameters:
        """Create and start what is missing. If the server is running, this is one query."""
        with self._errors_explained():
            info = self.cluster.server_info()
            if info is None or not info.has_database or info.has_moved:
                with self._locked():
                    info = self._bring_up()
            return info.parameters

    def url(self) -> str:
        """Return a DATABASE_URL, password included, for other programs. Starts the server."""
        parameters = self.ensure_running()
        return "postgres://{user}:{password}@127.0.0.1:{port}/{dbname}".format(**parameters)

    def psql(self) -> Path:
        """Return the path of the server's own psql."""
        with self._errors_explained():
            version = self.cluster.version
            return find_programs(major=int(version) if version else None).folder / "psql"

    def status(self) -> LocalDatabaseStatus:
        """Return the current state. Starts nothing."""
        with self._errors_explained():
            cluster = self.cluster
            info = cluster.server_info()
            port = info.parameters["port"] if info else None
            return LocalDatabaseStatus(
                running=info is not None,
                folder=cluster.home,
                url=f"postgres://{self.name}@127.0.0.1:{port}/{self.name}" if port else None,
                version=info.version if info else cluster.version,
                size_bytes=_size(cluster.home),
            )

    def stop(self) -> bool:
        """Stop the server. Return False if none was running."""
        if not self.folder.exists():
            return False
        with self._errors_explained(), self._locked():
            return self.cluster.stop()

    def destroy(self) -> None:
        """Stop the server and remove its files. Other files in the folder are kept."""
        if not self.folder.exists():
            return
        with self._errors_explained(), self._locked():
            self.cluster.stop()
            self.cluster.remove_incomplete()
            if self.cluster.version is not None:  # otherwise it is not a cluster of ours
                shutil.rmtree(self.cluster.home)
                (self.folder / "cluster").unlink(missing_ok=True)  # if it was a link
            (self.folder / "lock").unlink()
            if not any(self.folder.iterdir()):
                self.folder.rmdir()

    def _cluster(self, home: Path) -> Cluster:
        return Cluster(home=home, name=self.name, durable=self.durable)

    def _bring_up(self) -> ServerInfo:
        account = server_account(data=self.cluster.data)
        if self.cluster.version is None:
            self._create(account)
        cluster = self.cluster
        if not account.can_enter(cluster.home):
            raise LocalDatabaseError(
                f"The server's user '{account.name}' can no longer enter {cluster.home}. Open the "
                "folders above it to that user, move it away to begin with an empty database, or "
                "set DATABASE_URL."
            )
        info = cluster.wait_until_ready()
        if info is not None and info.has_moved:
            # The server was started with absolute paths (socket, libraries) that no longer exist.
            cluster.stop()
            info = None
        if info is None:
            cluster.start(account)
            info = cluster.wait_until_ready()
        if info is None:
            raise LocalDatabaseError(
                f"The private database in {cluster.home} stopped right after its start: "
                f"{cluster.log()}"
            )
        if not info.has_database:
            cluster.create_database(info)
        return info

    def _create(self, account: Account) -> None:
        link = self.folder / "cluster"
        if link.is_symlink():  # a dangling link, copied from another machine
            link.unlink()
        if link.exists():
            raise LocalDatabaseError(
                f"{link} is not a private database. Move it away or name another folder in "
                "LOCALDB_DIR."
            )
        if account.can_enter(self.folder):
            self.cluster.create(account)
            return
        FALLBACK_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
        home = FALLBACK_FOLDER / hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        if not home.exists():
            self._cluster(home).create(account)
        link.symlink_to(home)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Serialise the processes that create, start, stop or remove the cluster."""
        deadline = time.monotonic() + LOCK_TIMEOUT_SECONDS
        while True:
            if not self.folder.exists():
                self.folder.mkdir(parents=True, exist_ok=True)
                self.folder.chmod(0o755)  # the server's user must be able to enter
            handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(handle).st_nlink:  # else destroy() removed it in the meantime
                    break
            except BlockingIOError:
                pass
            os.close(handle)
            if time.monotonic() > deadline:
                raise LocalDatabaseError(
                    f"Another process has been starting or stopping the private database in "
                    f"{self.folder} for {LOCK_TIMEOUT_SECONDS} seconds. Wait for it or end it."
                )
            time.sleep(0.05)
        try:
            yield
        finally:
            os.close(handle)

    @contextmanager
    def _errors_explained(self) -> Iterator[None]:
        """Turn errors of the operating system into LocalDatabaseError."""
        try:
            yield
        except PermissionError as error:
            raise LocalDatabaseError(
                f"The private database in {self.folder} belongs to another user "
                f"({error.filename or error}). Run as that user, name another folder in "
                "LOCALDB_DIR, or set DATABASE_URL."
            ) from error
        except OSError as error:
            raise LocalDatabaseError(
                f"The private database in {self.folder} cannot be used: {error}."
            ) from error


def _size(folder: Path) -> int:
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except FileNotFoundError:
                continue  # the server has removed it in the meantime
    return total
