"""Private databases that end with the process that made them: those of a test run."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localservers.postgresql.database import LocalDatabase
from localservers.process_group import end_guard, start_guard


@contextmanager
def temporary_servers(*, prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """Yield a new folder for private databases.

    When the block or this process ends, every database below it is destroyed and the folder is
    removed, even when this process is killed.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    folder.chmod(0o755)  # a server may run as another user
    # If this Python has been removed, remove the data: then a server stops within a minute.
    # In its own session, out of reach of Ctrl-C and of a kill of the whole process group.
    guard = start_guard(
        '"$@" || rm -rf "$4"',
        *(sys.executable, "-m", "localservers.temporary", str(folder)),
        start_new_session=True,
    )
    try:
        yield folder
    finally:
        end_guard(guard)


def remove(folder: Path) -> None:
    """Destroy every database below `folder`, then remove it."""
    try:
        for lock in list(folder.rglob("lock")):
            LocalDatabase(lock.parent).destroy()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    remove(Path(sys.argv[1]))
