"""What a server needs from the operating system: a user, a port, a folder for its socket."""

import os
import pwd
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# The limit of macOS (Linux has 107), minus the name of the socket itself.
MAX_SOCKET_FOLDER_BYTES = 103 - len("/.s.PGSQL.65535")
SHORT_PREFIX = "localservers-"


class LocalDatabaseError(RuntimeError):
    """The private database cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The user that a server runs as. PostgreSQL does not run as root; root uses another user."""

    name: str
    uid: int
    gid: int

    @property
    def is_other_user(self) -> bool:
        return self.uid != os.geteuid()

    def own(self, path: Path) -> None:
        """Make the account the owner of a path, not of what a link points to."""
        if self.is_other_user:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def own_tree(self, top: Path) -> None:
        self.own(top)
        for folder, folders, files in os.walk(top):
            for name in (*folders, *files):
                self.own(Path(folder, name))

    def write(self, path: Path, text: str) -> None:
        """Write a file atomically that only the account (and root) can read."""
        handle, staging = tempfile.mkstemp(prefix=f"{path.name}.new-", dir=path.parent)  # mode 0600
        with os.fdopen(handle, "w") as file:
            file.write(text)
        self.own(Path(staging))
        Path(staging).replace(path)

    def can_enter(self, folder: Path) -> bool:
        """Try it: mode bits do not tell about access lists and mount options."""
        command = ["/bin/sh", "-c", 'cd "$0"', str(folder)]
        return not self.is_other_user or self.run(command, cwd=Path("/")).returncode == 0

    def run(self, command: Sequence[str], *, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a program as the account, out of reach of Ctrl-C and without PG* variables."""
        environment = {key: value for key, value in os.environ.items() if key[:2] != "PG"}
        return subprocess.run(  # noqa: S603 - our own arguments, and no shell reads them
            command,
            cwd=cwd,
            env=environment | {"LC_ALL": "C", "TZ": "UTC"},  # messages in English, times in UTC
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            umask=0o077,
            start_new_session=True,
            user=self.uid if self.is_other_user else None,
            group=self.gid if self.is_other_user else None,
            extra_groups=[] if self.is_other_user else None,
        )


def server_account(*, data: Path) -> Account:
    """Return the current user; for root, the owner of the data, else ``postgres`` or ``nobody``.

    Raises LocalDatabaseError if root finds no user to run the server as.
    """
    uid = os.geteuid()
    if uid != 0:
        return Account(name=str(uid), uid=uid, gid=os.getegid())
    owner = data.stat().st_uid if data.exists() else 0
    if owner != 0:
        # PostgreSQL only opens data that its own user owns.
        known = [entry for entry in pwd.getpwall() if entry.pw_uid == owner]
        gid = known[0].pw_gid if known else data.stat().st_gid
        return Account(name=known[0].pw_name if known else str(owner), uid=owner, gid=gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise LocalDatabaseError(
        "PostgreSQL does not run as root, and this machine has neither a user 'postgres' nor a "
        "user 'nobody'. Run this command as another user or set DATABASE_URL."
    )


def works_in(process: int, folder: Path) -> bool:
    """Return whether the working directory of a running process is `folder`."""
    try:
        if Path("/proc/self/cwd").exists():
            return os.path.samefile(f"/proc/{process}/cwd", folder)
        answer = subprocess.run(  # noqa: S603 - only a number is passed
            ["/bin/ps", "-o", "comm=", "-p", str(process)],
            capture_output=True,
            text=True,
            check=False,
        )
        return answer.stdout.strip().endswith("postgres")
    except FileNotFoundError:
        return False
    except PermissionError:
        return True  # unknown: wait rather than start a second server


def free_port(preferred: int) -> int:
    """Return the preferred port of 127.0.0.1 if it is free, else another one."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise LocalDatabaseError("No port of 127.0.0.1 is free for the private database.")


def can_hold_socket(folder: Path) -> bool:
    """Return whether the path is short enough. libpq reads a comma as a separator of paths."""
    return len(os.fsencode(folder)) <= MAX_SOCKET_FOLDER_BYTES and "," not in str(folder)


def short_socket_folder(account: Account) -> Path:
    """Create a folder with a short path that only the account can enter."""
    for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - mkdtemp makes it safe
        folder = Path(tempfile.mkdtemp(prefix=SHORT_PREFIX, dir=parent))
        account.own(folder)
        if can_hold_socket(folder) and account.can_enter(folder):
            return folder
        folder.rmdir()
    raise LocalDatabaseError(
        "The private database needs a short temporary folder for its socket: set TMPDIR=/tmp."
    )
