from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.db import connection

from tests.factories import StaffFactory

roles_migration = import_module("rewards.migrations.0003_roles_and_schedule")

ROLES = ("no role", *roles_migration.ROLES, "superuser")


@pytest.fixture
def roles(db):
    """The groups of the migration, also where a transactional test has flushed them away."""
    roles_migration.create_roles(apps, SimpleNamespace(connection=connection))


@pytest.fixture
def login(client, roles):
    """Log a new member of staff in, by the name of a role, and return them."""

    def login_as(role):
        person = StaffFactory(is_superuser=role == "superuser")
        if role in roles_migration.ROLES:
            person.groups.add(Group.objects.get(name=role))
        client.force_login(person)
        return person

    return login_as
