"""The private PostgreSQL of a trial or a test run, used only when DATABASE_URL is unset.

Nothing happens at import. ``LocalDatabase(folder).ensure_running()`` makes a cluster under
``folder`` on first use, starts its server when none answers, and leaves the server running, so
that the next command finds it. Clients come in over a unix socket in a folder closed to other
users; TCP listens on 127.0.0.1 only; both ask for a random password kept beside the data.

In ``folder``: ``lock``, and ``cluster`` with the data, the server's log, the password and, when
the server's user cannot reach the installed programs, a copy of them. Root lends the server
another user (``server_account``). When that user cannot enter ``folder`` either, as in a clone
under /root, the cluster lies under /var/lib/rewards-localdb and ``cluster`` is a link to it:
the permissions of existing folders are never changed.
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

from rewards_site.postgresql.cluster import NAME, PATIENCE, Answer, Cluster, ConnectionParameters
from rewards_site.postgresql.programs import find_programs
from rewards_site.postgresql.system import Account, LocalDatabaseError, server_account

__all__ = ["ConnectionParameters", "LocalDatabase", "LocalDatabaseError", "LocalDatabaseStatus"]

OUTSIDE = Path("/var/lib/rewards-localdb")  # survives a reboot, and only root can write there


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalDatabaseStatus:
    running: bool
    folder: Path
    """Where the cluster really lies."""
    url: str | None
    """Without the password; None when not running."""
    version: str | None
    """Of the running server, else of the data; None before the first start."""
    size_bytes: int


@dataclass(frozen=True)
class LocalDatabase:
    """One private database; any number of processes may use the same folder at once.

    ``durable=False`` is for throwaway databases: faster, and broken when the machine stops.
    Every method raises LocalDatabaseError, one sentence, for what a person can cause.
    """

    folder: Path
    durable: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder).resolve())

    @property
    def cluster(self) -> Cluster:
        return Cluster(home=(self.folder / "cluster").resolve(), durable=self.durable)

    def ensure_running(self) -> ConnectionParameters:
        """Make and start what is missing; a second call only asks the server who it is."""
        with self._explained():
            answer = self.cluster.ask()
            if answer is None or not answer.has_database or answer.has_moved:
                with self._locked():
                    answer = self._bring_up()
            return answer.parameters

    def url(self) -> str:
        """A DATABASE_URL, password included, for other programs; starts the server."""
        parameters = self.ensure_running()
        return "postgres://{user}:{password}@127.0.0.1:{port}/{dbname}".format(**parameters)

    def psql(self) -> Path:
        """The psql that comes with the server."""
        with self._explained():
            version = self.cluster.version
            return find_programs(major=int(version) if version else None).folder / "psql"

    def status(self) -> LocalDatabaseStatus:
        """What there is; starts nothing."""
        with self._explained():
            cluster = self.cluster
            answer = cluster.ask()
            port = answer.parameters["port"] if answer else None
            return LocalDatabaseStatus(
                running=answer is not None,
                folder=cluster.home,
                url=f"postgres://{NAME}@127.0.0.1:{port}/{NAME}" if port else None,
                version=answer.version if answer else cluster.version,
                size_bytes=_size(cluster.home),
            )

    def stop(self) -> bool:
        """Stop the server; False when none was running."""
        if not self.folder.exists():
            return False
        with self._explained(), self._locked():
            return self.cluster.stop()

    def destroy(self) -> None:
        """Stop the server and remove all it wrote; what others put in the folder stays."""
        if not self.folder.exists():
            return
        with self._explained(), self._locked():
            self.cluster.stop()
            self.cluster.clear_half_made()
            if self.cluster.version is not None:  # else it is not ours
                shutil.rmtree(self.cluster.home)
                (self.folder / "cluster").unlink(missing_ok=True)  # the link, where it was one
            (self.folder / "lock").unlink()
            if not any(self.folder.iterdir()):
                self.folder.rmdir()

    def _bring_up(self) -> Answer:
        account = server_account(data=self.cluster.data)
        if self.cluster.version is None:
            self._create(account)
        cluster = self.cluster
        if not account.can_enter(cluster.home):
            raise LocalDatabaseError(
                f"The server's user '{account.name}' can no longer enter {cluster.home}: let it "
                "through the folders above, move that folder away to begin with an empty "
                "database, or set DATABASE_URL."
            )
        answer = cluster.wait_for_answer()
        if answer is not None and answer.has_moved:
            # The absolute paths it holds (socket, libraries) lead nowhere: start it anew.
            cluster.stop()
            answer = None
        if answer is None:
            cluster.start(account)
            answer = cluster.wait_for_answer()
        if answer is None:
            raise LocalDatabaseError(
                f"The private database in {cluster.home} started and ended: {cluster.log()}"
            )
        if not answer.has_database:
            cluster.create_database(answer)
        return answer

    def _create(self, account: Account) -> None:
        link = self.folder / "cluster"
        if link.is_symlink():  # it leads nowhere: copied here from another machine
            link.unlink()
        if link.exists():
            raise LocalDatabaseError(
                f"{link} is not a private database: move it away "
                "or name another folder in LOCALDB_DIR."
            )
        if account.can_enter(self.folder):
            self.cluster.create(account)
            return
        OUTSIDE.mkdir(mode=0o755, parents=True, exist_ok=True)
        outside = OUTSIDE / hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        if not outside.exists():
            Cluster(home=outside, durable=self.durable).create(account)
        link.symlink_to(outside)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process at a time make, start, stop or remove the cluster."""
        deadline = time.monotonic() + 2 * PATIENCE
        while True:
            if not self.folder.exists():
                self.folder.mkdir(parents=True, exist_ok=True)
                self.folder.chmod(0o755)  # ours, and the server's user must come through
            handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(handle).st_nlink:  # else destroy() removed it while we waited
                    break
            except BlockingIOError:
                pass
            os.close(handle)
            if time.monotonic() > deadline:
                raise LocalDatabaseError(
                    f"Another process has been starting or stopping the private database in "
                    f"{self.folder} for {2 * PATIENCE} seconds: wait for it or end it."
                )
            time.sleep(0.05)
        try:
            yield
        finally:
            os.close(handle)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn refusals of the system into a sentence."""
        try:
            yield
        except PermissionError as error:
            raise LocalDatabaseError(
                f"The private database in {self.folder} belongs to another user "
                f"({error.filename or error}): run as that user, name another folder in "
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
                continue  # removed by the server meanwhile
    return total
