from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.core.management import call_command
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from pytest_django import DjangoDbBlocker

from tests.celery.stack import Stack
from tests.processes import connected_to, database, own_database
from tests.test_sample import SAMPLE, set_rules


@pytest.fixture(scope="session")
def sample_database(
    migrated_database: str, django_db_blocker: DjangoDbBlocker, worker_id: str
) -> Iterator[str]:
    """The name of a database with the sample's activity and rules, and nothing awarded."""
    with ExitStack() as stack:
        with django_db_blocker.unblock():
            name = f"rewards_celery_sample_{worker_id}"
            stack.enter_context(database(name, template=migrated_database))
            with connected_to(name):
                call_command("import_activity", str(SAMPLE), "--create-hosts", verbosity=0)
                set_rules()
        yield name
        with django_db_blocker.unblock():
            stack.close()


@pytest.fixture
def sample(
    sample_database: str, django_db_blocker: DjangoDbBlocker, worker_id: str
) -> Iterator[None]:
    """The sample in a database of the test's own, all of it due."""
    name = f"rewards_celery_{worker_id}"
    with django_db_blocker.unblock(), own_database(name, template=sample_database):
        yield


@pytest.fixture
def stack(sample: None, tmp_path: Path) -> Iterator[Stack]:
    """The sample with a broker, and whatever the test starts beside it."""
    stack = Stack(tmp_path)
    stack.start_broker()
    try:
        yield stack
    finally:
        stack.end()


@pytest.fixture
def every_second(stack: Stack) -> None:
    """The tick, faster."""
    interval = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.SECONDS)
    tick = PeriodicTask.objects.get(task="award_due")
    tick.interval = interval
    tick.save()
