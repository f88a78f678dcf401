import re
from html.parser import HTMLParser
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
    """The groups of the migration, also after a transactional test has flushed them."""
    if Group.objects.filter(name__in=roles_migration.ROLES).count() < len(roles_migration.ROLES):
        roles_migration.create_roles(apps, SimpleNamespace(connection=connection))


@pytest.fixture
def login(client, roles):
    """Return a function that signs in a new member of staff with a role."""

    def login_as(role):
        person = StaffFactory(is_superuser=role == "superuser")
        if role in roles_migration.ROLES:
            person.groups.add(Group.objects.get(name=role))
        client.force_login(person)
        return person

    return login_as


class _Fields(HTMLParser):
    """The values of all fields of a page, as a browser would send them."""

    def __init__(self):
        super().__init__()
        self.values = {}
        self.select = None

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        name = attributes.get("name")
        if tag == "input" and name:
            is_checkbox = attributes.get("type") == "checkbox"
            if not is_checkbox or "checked" in attributes:
                self.values[name] = attributes.get("value", "on" if is_checkbox else "")
        elif tag == "select":
            self.select = name
        elif tag == "option" and "selected" in attributes and self.select:
            self.values.setdefault(self.select, []).append(attributes["value"])

    def handle_endtag(self, tag):
        if tag == "select":
            self.select = None


def fields(page):
    """Return the values that the forms of a page hold, by name."""
    parser = _Fields()
    parser.feed(page.content.decode())
    return parser.values


def words(page):
    """Return the words of a page, without its markup."""
    return " ".join(re.sub(r"<[^>]*>", " ", page.content.decode()).split())


def messages(page):
    """Return the messages at the top of a page."""
    return [str(message) for message in page.context["messages"]]
