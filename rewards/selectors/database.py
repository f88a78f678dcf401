"""What the database contains, migrated or not."""

from datetime import datetime

from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from rewards.models import ActivityEvent, Host, RewardRule

_is_current = False


def database_key() -> tuple[object, ...]:
    """Return what tells the connected database from others, for what a process keeps of it."""
    return tuple(connection.settings_dict.get(key) for key in ("HOST", "PORT", "NAME"))


def foreign_tables() -> list[str]:
    """Return the tables that do not belong to this site, in order of name."""
    introspection = connection.introspection
    own = {*introspection.django_table_names(), "django_migrations"}
    return sorted({*introspection.table_names()} - own)


def is_migrated() -> bool:
    """Return whether the tables of the application exist, in any version."""
    return ActivityEvent._meta.db_table in connection.introspection.table_names()


def pending_migrations() -> int:
    """Return the number of migrations that the database still lacks.

    A process that has seen 0 asks only whether the database answers: its code cannot change.
    """
    global _is_current
    if _is_current:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return 0
    executor = MigrationExecutor(connection)
    pending = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    _is_current = pending == 0
    return pending


def database_time() -> datetime:
    """Return the time by the clock of the database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now


def is_in_use() -> bool:
    """Return whether there are hosts, activity or rules; without these there is no ledger."""
    return any(model.objects.exists() for model in (Host, ActivityEvent, RewardRule))
