"""The migrations create what the models define, and remove it again."""

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from tests.processes import own_database

CATALOG = """
    SELECT 'column', table_name || '.' || column_name,
        concat_ws(' ', data_type, is_nullable, column_default, character_maximum_length)
    FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL
    SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL
    SELECT 'trigger', tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT 'function', proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'options', relname, reloptions::text FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND reloptions IS NOT NULL
"""


@pytest.fixture
def empty_database(django_db_blocker, worker_id):
    with django_db_blocker.unblock(), own_database(f"rewards_empty_{worker_id}"):
        yield


def migrate(*targets):
    executor = MigrationExecutor(connection)
    executor.migrate(list(targets) or executor.loader.graph.leaf_nodes())


def catalog():
    with connection.cursor() as cursor:
        cursor.execute(CATALOG)
        return {row for row in cursor if "django_migrations" not in row[1]}


def test_the_migrations_can_be_reversed(empty_database):
    migrate()
    created = catalog()

    migrate(("rewards", None))
    left = catalog()
    migrate()

    assert any(kind == "trigger" for kind, _, _ in created)
    assert not [row for row in left if "rewards_" in row[1]]
    assert catalog() == created


@pytest.mark.django_db
def test_no_migration_is_missing():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
