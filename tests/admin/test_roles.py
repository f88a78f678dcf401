"""The pages and actions that each role may use."""

import copy
from datetime import date
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from django.urls import reverse
from django_celery_beat.models import IntervalSchedule

from rewards.choices import RuleType
from rewards.models import Schedule, ScoreHistory
from tests.admin.conftest import ROLES, fields, roles_migration
from tests.factories import (
    ActivityEventFactory,
    ApiKeyFactory,
    DailyActivityFactory,
    HostFactory,
    RewardRuleFactory,
    ScoreFactory,
    ScoreHistoryFactory,
    StaffFactory,
)

A_DAY_TO_COME = date(2099, 1, 1)

NOBODY: frozenset[str] = frozenset()
SUPERUSERS = frozenset({"superuser"})
EDITORS = SUPERUSERS | {"Rule editor"}
OPERATORS = SUPERUSERS | {"Operator"}
READERS = EDITORS | OPERATORS | {"Viewer"}
STAFF = READERS | {"no role"}

READ_ONLY = ["activityevent", "awardrun", "dailyactivity", "score", "scorehistory"]

PAGES = {
    "index": STAFF,
    "app_list": READERS,
    "search": STAFF,
    "jsi18n": STAFF,
    "logout": NOBODY,  # by POST only
    "password_change": STAFF,
    "password_change_done": STAFF,
    "autocomplete": SUPERUSERS,  # of the staff; no form of ours asks for it
    "view_on_site": NOBODY,  # the admin is the site
    **{
        f"rewards_{model}_{page}": who
        for model in READ_ONLY
        for page, who in {
            "changelist": READERS,
            "change": READERS,
            "history": READERS,
            "add": NOBODY,
            "delete": NOBODY,
        }.items()
    },
    "rewards_scorehistory_export": READERS,
    "rewards_awardrun_journal": READERS,
    "rewards_awardrun_start": NOBODY,  # by POST only
    "rewards_awardrun_start_due": NOBODY,  # by POST only
    "rewards_score_leaderboard": READERS,
    "rewards_score_leaderboard_export": READERS,
    "rewards_rewardrule_changelist": READERS,
    "rewards_rewardrule_change": READERS,
    "rewards_rewardrule_history": READERS,
    "rewards_rewardrule_add": EDITORS,
    "rewards_rewardrule_delete": EDITORS,
    "rewards_host_changelist": READERS,
    "rewards_host_change": READERS,
    "rewards_host_history": READERS,
    "rewards_host_explain": READERS,
    "rewards_host_add": OPERATORS,
    "rewards_host_delete": NOBODY,
    "rewards_apiclient_changelist": SUPERUSERS,
    "rewards_apiclient_change": SUPERUSERS,
    "rewards_apiclient_history": SUPERUSERS,
    "rewards_apiclient_add": SUPERUSERS,
    "rewards_apiclient_delete": NOBODY,
    "rewards_apiclient_create_key": NOBODY,  # by POST only
    "rewards_apiclient_revoke_key": SUPERUSERS,
    "rewards_user_changelist": SUPERUSERS,
    "rewards_user_change": SUPERUSERS,
    "rewards_user_history": SUPERUSERS,
    "rewards_user_add": SUPERUSERS,
    "rewards_user_delete": NOBODY,
    "auth_user_password_change": SUPERUSERS,
    "auth_group_changelist": SUPERUSERS,
    "auth_group_change": SUPERUSERS,
    "auth_group_history": SUPERUSERS,
    "auth_group_add": SUPERUSERS,
    "auth_group_delete": SUPERUSERS,
    "rewards_schedule_changelist": SUPERUSERS,
    "rewards_schedule_change": SUPERUSERS,
    "rewards_schedule_history": SUPERUSERS,
    "rewards_schedule_add": NOBODY,
    "rewards_schedule_delete": NOBODY,
}

RULE = {"threshold": "5", "points": "7", "is_active": "on", "reason": "more calls are wanted"}
PASSWORD = {"password1": "r4ther-l0ng-w0rds", "password2": "r4ther-l0ng-w0rds"}
CLIENT = {"name": "Another name", "scopes": ["scores:read"]}
USABLE = {"usable_password": "true"}

ACTIONS = {
    "write a rule version": (
        "rewards_rewardrule_add",
        RULE | {"starts_on": "2099-01-02"},
        EDITORS,
    ),
    "change a rule version": (
        "rewards_rewardrule_change",
        RULE | {"starts_on": "2099-01-02"},
        EDITORS,
    ),
    "withdraw a rule version": ("rewards_rewardrule_delete", {}, EDITORS),
    "run a date": ("rewards_awardrun_start", {"cadence": "daily", "day": "2026-11-16"}, OPERATORS),
    "run what is due": ("rewards_awardrun_start_due", {"post": "yes"}, OPERATORS),
    "add a host": ("rewards_host_add", {"external_id": "h-1"}, OPERATORS),
    "give a host a last day": ("rewards_host_change", {"left_on": "2099-01-01"}, OPERATORS),
    "deactivate hosts": (
        "rewards_host_changelist",
        {"action": "deactivate", "_selected_action": "host", "index": "0"},
        OPERATORS,
    ),
    "reactivate hosts": (
        "rewards_host_changelist",
        {"action": "reactivate", "_selected_action": "former host", "index": "0"},
        OPERATORS,
    ),
    "delete a host": ("rewards_host_delete", {"post": "yes"}, NOBODY),
    "add staff": ("rewards_user_add", {"username": "new"} | PASSWORD | USABLE, SUPERUSERS),
    "change staff": ("rewards_user_change", {"username": "other"}, SUPERUSERS),
    "delete staff": ("rewards_user_delete", {"post": "yes"}, NOBODY),
    "set a password": ("auth_user_password_change", PASSWORD, SUPERUSERS),
    "add a group": ("auth_group_add", {"name": "Friends"}, SUPERUSERS),
    "change a group": ("auth_group_change", {"name": "Friends"}, SUPERUSERS),
    "change the schedule": ("rewards_schedule_change", {"minutes": "10"}, SUPERUSERS),
    "add a client": ("rewards_apiclient_add", CLIENT | {"source": "new"}, SUPERUSERS),
    "change a client": ("rewards_apiclient_change", CLIENT, SUPERUSERS),
    "delete a client": ("rewards_apiclient_delete", {"post": "yes"}, NOBODY),
    "revoke a key": ("rewards_apiclient_revoke_key", {}, SUPERUSERS),
    "delete a group": ("auth_group_delete", {"post": "yes"}, SUPERUSERS),
    **{
        f"{action} {model}": (f"rewards_{model}_{action}", {"post": "yes"}, NOBODY)
        for model in READ_ONLY
        for action in ("add", "change", "delete")
    },
}
"""An action: its page, its form, and the roles that may do it. Each leaves one log entry."""


@pytest.fixture
def rows(roles):
    """One row of everything, and a rule version that has not begun."""
    award = ScoreHistoryFactory()
    return {
        "apikey": (key := ApiKeyFactory()),
        "apiclient": key.client,
        "activityevent": ActivityEventFactory(user=award.user),
        "awardrun": award.run,
        "dailyactivity": DailyActivityFactory(user=award.user),
        "group": Group.objects.create(name="Auditors"),
        "host": award.user,
        "former host": HostFactory(left_on=date(2026, 11, 1)),
        "schedule": Schedule.objects.create(
            name="a tick",
            task="award_due",
            interval=IntervalSchedule.objects.create(every=5, period=IntervalSchedule.MINUTES),
        ),
        "rewardrule": RewardRuleFactory(
            rule_type=RuleType.DAILY_VIDEO_CALL_TARGET, starts_on=A_DAY_TO_COME
        ),
        "score": ScoreFactory(user=award.user),
        "scorehistory": award,
        "user": StaffFactory(username="someone"),
    }


def address(page, rows):
    """Return where a page is, for one of `rows` if it is about one."""
    if page == "app_list":
        return reverse("admin:app_list", args=["rewards"])
    if page == "view_on_site":
        host = ContentType.objects.get_for_model(rows["host"])
        return reverse("admin:view_on_site", args=[host.pk, rows["host"].pk])
    if page == "autocomplete":
        field = "?app_label=rewards&model_name=scorehistory&field_name=user"
        return reverse("admin:autocomplete") + field
    if page == "rewards_rewardrule_add":
        return f"{reverse(f'admin:{page}')}?rule_type=DAILY_VIDEO_CALL_TARGET"
    if page == "rewards_apiclient_create_key":
        return reverse(f"admin:{page}", args=[rows["apiclient"].pk])
    if page == "rewards_apiclient_revoke_key":
        return reverse(f"admin:{page}", args=[rows["apiclient"].pk, rows["apikey"].pk])
    if page.endswith("_export"):
        return reverse(f"admin:{page}", args=["csv"])
    if page == "auth_user_password_change":
        return reverse(f"admin:{page}", args=[rows["user"].pk])
    model, _, action = page.partition("_")[2].partition("_")
    arguments = [rows[model].pk] if action in {"change", "history", "delete", "explain"} else []
    return reverse(f"admin:{page}", args=arguments)


def data(values, rows, token):
    """Return what the form of an action sends."""
    values = {
        key: value if isinstance(value, list) else getattr(rows.get(value), "pk", value)
        for key, value in values.items()
    }
    return values | {"version_token": token}


@pytest.fixture
def tokens(client, login, rows):
    """The version token of each page that has one."""
    login("superuser")
    pages = {page for page, _, who in ACTIONS.values() if who and page in PAGES}
    return {
        page: fields(client.get(address(page, rows))).get("version_token", "") for page in pages
    }


def test_the_table_names_every_page_of_the_admin():
    patterns = [
        inner
        for pattern in admin.site.get_urls()
        for inner in getattr(pattern, "url_patterns", [pattern])
    ]
    names = {pattern.name for pattern in patterns}

    assert names - {None, "login"} == set(PAGES)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_opens_its_own_pages_only(client, login, rows, role):
    login(role)

    opened = {page for page in PAGES if client.get(address(page, rows)).status_code == 200}

    assert opened == {page for page, who in PAGES.items() if role in who}


def test_strangers_are_sent_to_log_in_from_every_page(client, rows):
    answers = {page: client.get(address(page, rows)) for page in PAGES if page != "logout"}

    wrong = {
        page: answer.status_code
        for page, answer in answers.items()
        if answer.status_code != 302 or not answer.url.startswith(reverse("admin:login"))
    }
    assert wrong == {}


@pytest.mark.parametrize("role", ["Viewer", "Rule editor", "Operator"])
def test_a_role_without_is_staff_opens_nothing(client, login, role):
    person = login(role)
    person.is_staff = False
    person.save()

    assert client.get(reverse("admin:index")).status_code == 302


@pytest.mark.parametrize("role", ["a stranger", *ROLES])
def test_a_role_acts_within_its_permissions_and_is_logged(client, login, rows, tokens, role):
    client.logout()
    if role != "a stranger":
        login(role)
    wrong = {}

    for action, (page, values, who) in ACTIONS.items():
        entries, cookies = LogEntry.objects.count(), copy.deepcopy(client.cookies)
        before = transaction.savepoint()
        answer = client.post(address(page, rows), data(values, rows, tokens.get(page, "")))
        found = answer.status_code, LogEntry.objects.count() - entries
        transaction.savepoint_rollback(before)
        client.cookies = cookies  # a new password renews the session
        if role in who:
            expected = 302, 1
        elif role == "a stranger":
            expected = 302, 0  # to log in
        else:
            # A list ignores the name of an action that the role may not use.
            expected = 200 if "action" in values and role in READERS else 403, 0
        if found != expected:
            wrong[action] = (found, expected)

    assert wrong == {}


def test_a_form_without_its_csrf_token_is_refused(client, login, rows):
    login("superuser")
    client.handler.enforce_csrf_checks = True

    answers = {
        action: client.post(address(page, rows), values)
        for action, (page, values, _) in ACTIONS.items()
    }

    wrong = {
        action: answer.status_code
        for action, answer in answers.items()
        if answer.status_code != 403 or b"no longer valid" not in answer.content
    }
    assert wrong == {}
    assert not LogEntry.objects.exists()


def test_even_a_superuser_leaves_the_ledger_as_it_is(client, login, rows):
    login("superuser")
    award = rows["scorehistory"]

    client.post(address("rewards_scorehistory_change", rows), {"points": "999"})

    assert ScoreHistory.objects.get(pk=award.pk).points == award.points


def test_the_roles_can_be_removed_and_created_again(roles):
    editors = Group.objects.get(name="Rule editor")
    schema_editor = SimpleNamespace(connection=connection)

    roles_migration.remove_roles(apps, schema_editor)
    removed = Group.objects.filter(name__in=roles_migration.ROLES).exists()
    roles_migration.create_roles(apps, schema_editor)
    roles_migration.create_roles(apps, schema_editor)

    assert not removed
    for name, codenames in roles_migration.ROLES.items():
        permissions = Group.objects.get(name=name).permissions
        assert sorted(permissions.values_list("codename", flat=True)) == sorted(codenames)
    assert Group.objects.get(name="Rule editor").pk != editors.pk
