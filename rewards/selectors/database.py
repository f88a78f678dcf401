"""What the database contains, migrated or not."""

from django.db import connection

from rewards.models import ActivityEvent, Host, RewardRule


def foreign_tables() -> list[str]:
    """Return the tables that do not belong to this site, in order of name."""
    introspection = connection.introspection
    own = {*introspection.django_table_names(), "django_migrations"}
    return sorted({*introspection.table_names()} - own)


def is_migrated() -> bool:
    """Return whether the tables of the application exist, in any version."""
    return ActivityEvent._meta.db_table in connection.introspection.table_names()


def is_in_use() -> bool:
    """Return whether there are hosts, activity or rules; without these there is no ledger."""
    return any(model.objects.exists() for model in (Host, ActivityEvent, RewardRule))
