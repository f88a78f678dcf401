import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import TransactionTestCase
from pytest_django import DjangoDbBlocker

from rewards_site.localdb import LocalDatabase
from tests.processes import own_database

TRIAL_FOLDER = "rewards-tests-"


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop and remove the throwaway server once every worker is done with it."""
    folder = os.environ.get("LOCALDB_DIR", "")
    if not hasattr(config, "workerinput") and TRIAL_FOLDER in folder:
        LocalDatabase(Path(folder), durable=False).destroy()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True, scope="session")
def _flush_past_the_ledger() -> Iterator[None]:
    """Let the flush between transactional tests truncate the ledger, and nothing else."""
    flush = TransactionTestCase._fixture_teardown

    def flush_as_replica(self: TransactionTestCase) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
        flush(self)
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = origin")

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(TransactionTestCase, "_fixture_teardown", flush_as_replica)
        yield


@pytest.fixture
def committed(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, worker_id: str
) -> Iterator[None]:
    """A migrated database of the test's own, where other processes see what it writes."""
    template = connection.settings_dict["NAME"]
    with django_db_blocker.unblock(), own_database(f"committed_{worker_id}", template=template):
        yield
