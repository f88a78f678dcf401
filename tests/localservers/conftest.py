from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from localservers.postgresql.database import LocalDatabase
from localservers.temporary import temporary_servers

_numbers = count(1)


@pytest.fixture(scope="session")
def servers() -> Iterator[Path]:
    """The folder of all private databases of these tests."""
    with temporary_servers(prefix="localservers-test-") as folder:
        yield folder


@pytest.fixture
def folder(servers: Path) -> Path:
    """A new folder that other users can enter; pytest's own are closed to them."""
    folder = servers / f"folder{next(_numbers)}"
    folder.mkdir()
    folder.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def shared_database(servers: Path) -> LocalDatabase:
    return LocalDatabase(servers / "shared", name="trial", durable=False)


@pytest.fixture
def database(shared_database: LocalDatabase) -> LocalDatabase:
    """A running database, for tests that do not depend on how it was created."""
    shared_database.ensure_running()
    return shared_database
