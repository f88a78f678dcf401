import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import TransactionTestCase
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis
from pytest_django import DjangoDbBlocker

from rewards.services.awarding.live import forget_all
from rewards.services.unchanged_settings import forget_unchanged_settings
from tests.processes import connected_to, database, own_database
from tests.settings import resources

pytest_plugins = ["tests.fault_table"]

# A plain run is deterministic; HYPOTHESIS_PROFILE=nightly searches longer, with new seeds.
NO_DEADLINE: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
hypothesis.register_profile(
    "ci", derandomize=True, max_examples=8, stateful_step_count=15, **NO_DEADLINE
)
hypothesis.register_profile(
    "nightly", max_examples=2_000, stateful_step_count=40, print_blob=True, **NO_DEADLINE
)
hypothesis.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of a folder, so that no file of it can be forgotten."""
    for item in items:
        if marker := {"faults": "faults", "celery": "faults", "browser": "browser"}.get(
            item.path.parent.name
        ):
            item.add_marker(marker)


def pytest_unconfigure() -> None:
    """End the processes that tests have started and, outside of xdist's workers, the server."""
    resources.close()


@pytest.fixture(autouse=True)
def _settings_not_yet_compared() -> None:
    """Let each test be a process that has not compared its settings with the database."""
    forget_unchanged_settings()
    forget_all()


@pytest.fixture(autouse=True, scope="session")
def _flush_past_the_ledger() -> Iterator[None]:
    """Let the flush between transactional tests truncate the ledger, and nothing else."""
    flush = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]  # private

    def flush_as_replica(self: TransactionTestCase) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
        flush(self)
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = origin")

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(TransactionTestCase, "_fixture_teardown", flush_as_replica)
        yield


@pytest.fixture(scope="session")
def migrated_database(django_db_blocker: DjangoDbBlocker, worker_id: str) -> Iterator[str]:
    """The name of a database that is migrated and otherwise empty, to be copied."""
    with ExitStack() as stack:
        with django_db_blocker.unblock():
            name = stack.enter_context(database(f"rewards_migrated_{worker_id}"))
            with connected_to(name):
                call_command("migrate", verbosity=0)
        yield name
        with django_db_blocker.unblock():
            stack.close()


@pytest.fixture
def committed(
    migrated_database: str, django_db_blocker: DjangoDbBlocker, worker_id: str
) -> Iterator[None]:
    """A migrated database for this test alone, in which other processes see what it writes."""
    name = f"rewards_committed_{worker_id}"
    with django_db_blocker.unblock(), own_database(name, template=migrated_database):
        yield
