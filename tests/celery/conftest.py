from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from django.core.management import call_command
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from pytest_django import DjangoDbBlocker

from tests.celery.stack import Program, Stack
from tests.processes import connected_to, database, own_database
from tests.test_sample import SAMPLE, set_rules


@pytest.fixture(scope="session")
def sample_database(
    migrated_database: str, django_db_blocker: DjangoDbBlocker, worker_id: str
) -> Iterator[str]:
    """The name of a database with the sample's activity and rules, without awards."""
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
    """A new copy of the sample under the name that the shared workers use; all of it is due."""
    name = f"rewards_celery_{worker_id}"
    with django_db_blocker.unblock(), own_database(name, template=sample_database):
        yield


@pytest.fixture(scope="session")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("celery"))
    yield stack
    stack.close()


@pytest.fixture
def stack(sample: None, shared_stack: Stack) -> Iterator[Stack]:
    """A broker beside the sample, and the programs that the test starts."""
    with shared_stack.for_one_test() as stack:
        yield stack


@pytest.fixture
def workers(stack: Stack) -> list[Program]:
    """Two workers, which serve other tests too: a test may not kill or configure them."""
    return stack.shared_workers()


@pytest.fixture
def every_second(stack: Stack) -> None:
    """Let beat send its message every second."""
    interval = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.SECONDS)
    tick = PeriodicTask.objects.get(task="award_due")
    tick.interval = interval
    tick.save()
