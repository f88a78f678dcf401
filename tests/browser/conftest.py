"""Chromium on a real server, at a time that the tests choose."""

import os
import shutil
from datetime import UTC, datetime, timedelta
from importlib import import_module
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.db import connection
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect

from rewards.choices import RuleType
from tests.factories import (
    ActivityEventFactory,
    DailyActivityFactory,
    HostFactory,
    RewardRuleFactory,
    StaffFactory,
)

CHROMIUM = shutil.which("chromium")

TUESDAY = datetime(2026, 11, 24, 12, tzinfo=UTC)
"""The time at which the tests begin."""

TIMEOUT_MS = 120_000
"""How long a page may take. Far above what the slowest machine needs."""

expect.set_options(timeout=TIMEOUT_MS)

PASSWORD = "correct horse battery"  # noqa: S105 - of the factory

roles_migration = import_module("rewards.migrations.0003_roles_and_schedule")


@pytest.fixture(scope="session")
def base_url():
    """Replace the plugin's fixture, which pytest deprecates; the tests use whole addresses."""


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    if CHROMIUM is None and not os.environ.get("REQUIRE_BROWSER"):
        pytest.skip("Chromium is not installed; set REQUIRE_BROWSER to fail instead")
    assert CHROMIUM is not None, "REQUIRE_BROWSER is set, but Chromium is not installed"
    # As root, Chromium starts only without its sandbox. It opens only pages of this server.
    return browser_type_launch_args | {"executable_path": CHROMIUM, "args": ["--no-sandbox"]}


@pytest.fixture(autouse=True, scope="session")
def _allow_database_beside_event_loop():
    """Let this thread use the database although the browser's event loop runs in it."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        yield


@pytest.fixture(autouse=True)
def _no_browser_errors(page, live_server):
    """Fail on an error in the console and on a request to another host."""
    page.set_default_timeout(TIMEOUT_MS)
    errors = []
    page.on("console", lambda message: message.type == "error" and errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "request",
        lambda request: (
            urlsplit(request.url).netloc != urlsplit(live_server.url).netloc
            and errors.append(f"request to {request.url}")
        ),
    )
    yield
    assert errors == []


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """The clock of the server. A test may change it."""
    clock = SimpleNamespace(now=TUESDAY)
    monkeypatch.setattr(timezone, "now", lambda: clock.now)
    return clock


@pytest.fixture
def hosts(transactional_db):
    """Two hosts with two weeks of activity that is not awarded yet, and two rules.

    Ada logs in three times and takes five calls a day, Bea logs in twice.
    """
    roles_migration.create_roles(apps, SimpleNamespace(connection=connection))
    ada, bea = HostFactory(external_id="ada"), HostFactory(external_id="bea")
    for ago in range(1, 15):
        day = (TUESDAY - timedelta(days=ago)).date()
        DailyActivityFactory(user=ada, date=day, logins=3, audio_calls=5, audio_seconds=600)
        DailyActivityFactory(user=bea, date=day, logins=2)
    ActivityEventFactory(user=bea, occurred_at=TUESDAY - timedelta(days=1))
    first = (TUESDAY - timedelta(days=21)).date()
    RewardRuleFactory(threshold=1, points=10, starts_on=first)
    RewardRuleFactory(
        rule_type=RuleType.DAILY_AUDIO_CALL_TARGET, threshold=5, points=50, starts_on=first
    )
    return SimpleNamespace(ada=ada, bea=bea)


@pytest.fixture
def visit(page, live_server):
    """Return a function that opens a page of the admin by its name."""

    def visit(name, *args, query=""):
        page.goto(f"{live_server.url}{reverse(f'admin:{name}', args=args)}{query}")
        page.wait_for_load_state("networkidle")

    return visit


@pytest.fixture
def menu(page):
    """Return a function that opens a page from the menu."""

    def choose(title):
        page.locator("#nav-sidebar-apps").get_by_text(title, exact=True).click()
        page.wait_for_load_state("networkidle")

    return choose


@pytest.fixture
def log_in(page, visit):
    """Return a function that logs a superuser in, or a member of staff with roles."""

    def log_in(*roles):
        person = StaffFactory(is_superuser=not roles)
        person.groups.set(Group.objects.filter(name__in=roles))
        visit("login")
        page.get_by_label("Username").fill(person.username)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/admin/")
        page.wait_for_load_state("networkidle")
        return person

    return log_in
