"""Who may open which page of the admin, and who may do what there."""

from datetime import date
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.urls import reverse
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from rewards.choices import RuleType
from rewards.models import ScoreHistory
from tests.admin.conftest import ROLES, roles_migration
from tests.factories import (
    ActivityEventFactory,
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
    "django_celery_beat_periodictask_changelist": SUPERUSERS,
    "django_celery_beat_periodictask_change": SUPERUSERS,
    "django_celery_beat_periodictask_history": SUPERUSERS,
    "django_celery_beat_periodictask_add": NOBODY,
    "django_celery_beat_periodictask_delete": NOBODY,
}


@pytest.fixture
def world(roles):
    """One row of everything, and a rule version that has not begun."""
    award = ScoreHistoryFactory()
    return {
        "activityevent": ActivityEventFactory(user=award.user),
        "awardrun": award.run,
        "dailyactivity": DailyActivityFactory(user=award.user),
        "group": Group.objects.create(name="Auditors"),
        "host": award.user,
        "periodictask": PeriodicTask.objects.create(
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


def address(page, world):
    """Return where a page is, for an object of `world` if it is about one."""
    if page == "app_list":
        return reverse("admin:app_list", args=["rewards"])
    if page == "view_on_site":
        host = ContentType.objects.get_for_model(world["host"])
        return reverse("admin:view_on_site", args=[host.pk, world["host"].pk])
    if page == "autocomplete":
        field = "?app_label=rewards&model_name=scorehistory&field_name=user"
        return reverse("admin:autocomplete") + field
    if page.endswith("_export"):
        return reverse(f"admin:{page}", args=["csv"])
    if page == "auth_user_password_change":
        return reverse(f"admin:{page}", args=[world["user"].pk])
    page_of_model = page.replace("django_celery_beat", "beat").partition("_")[2]
    model, _, action = page_of_model.partition("_")
    about = [world[model].pk] if action in {"change", "history", "delete", "explain"} else []
    return reverse(f"admin:{page}", args=about)


def test_the_table_names_every_page_of_the_admin():
    patterns = [
        inner
        for pattern in admin.site.get_urls()
        for inner in getattr(pattern, "url_patterns", [pattern])
    ]
    names = {pattern.name for pattern in patterns}

    assert names - {None, "login"} == set(PAGES)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_opens_its_own_pages_and_no_other(client, login, world, role):
    login(role)

    opened = {page for page in PAGES if client.get(address(page, world)).status_code == 200}

    assert opened == {page for page, who in PAGES.items() if role in who}


def test_the_unknown_are_sent_to_log_in_from_every_page(client, world):
    answers = {page: client.get(address(page, world)) for page in PAGES if page != "logout"}

    for page, answer in answers.items():
        assert answer.status_code == 302, page
        assert answer.url.startswith(reverse("admin:login")), page


@pytest.mark.parametrize("role", ["Viewer", "Rule editor", "Operator"])
def test_hosts_and_staff_without_is_staff_are_unknown(client, login, world, role):
    person = login(role)
    person.is_staff = False
    person.save()

    assert client.get(reverse("admin:index")).status_code == 302


RULE = {"threshold": "5", "points": "7", "is_active": "on", "reason": "more calls are wanted"}
PASSWORD = {"password1": "r4ther-l0ng-w0rds", "password2": "r4ther-l0ng-w0rds"}
USABLE = {"usable_password": "true"}

ACTIONS = {
    "write a rule version": (
        "rewards_rewardrule_add",
        RULE | {"rule_type": "DAILY_AUDIO_CALL_TARGET", "starts_on": "2099-01-01"},
        EDITORS,
    ),
    "change a rule version": (
        "rewards_rewardrule_change",
        RULE | {"starts_on": "2099-01-02"},
        EDITORS,
    ),
    "withdraw a rule version": ("rewards_rewardrule_delete", {"post": "yes"}, EDITORS),
    "run a date": ("rewards_awardrun_start", {"cadence": "daily", "day": "2026-11-16"}, OPERATORS),
    "run what is due": ("rewards_awardrun_start_due", {"post": "yes"}, OPERATORS),
    "add a host": ("rewards_host_add", {"external_id": "h-1"}, OPERATORS),
    "give a host a last day": ("rewards_host_change", {"left_on": "2099-01-01"}, OPERATORS),
    "delete a host": ("rewards_host_delete", {"post": "yes"}, NOBODY),
    "add staff": ("rewards_user_add", {"username": "new"} | PASSWORD | USABLE, SUPERUSERS),
    "change staff": ("rewards_user_change", {"username": "other"}, SUPERUSERS),
    "delete staff": ("rewards_user_delete", {"post": "yes"}, NOBODY),
    "set a password": ("auth_user_password_change", PASSWORD, SUPERUSERS),
    "add a group": ("auth_group_add", {"name": "Friends"}, SUPERUSERS),
    "change a group": ("auth_group_change", {"name": "Friends"}, SUPERUSERS),
    "change the schedule": (
        "django_celery_beat_periodictask_change",
        {"enabled": "on", "minutes": "10"},
        SUPERUSERS,
    ),
    "delete a group": ("auth_group_delete", {"post": "yes"}, SUPERUSERS),
    **{
        f"{action} {model}": (f"rewards_{model}_{action}", {"post": "yes"}, NOBODY)
        for model in READ_ONLY
        for action in ("add", "change", "delete")
    },
}
"""What is done by sending a form: where, with what, and who may. Each leaves one log entry."""


@pytest.mark.parametrize("role", ["the unknown", *ROLES])
@pytest.mark.parametrize("action", ACTIONS)
def test_a_role_does_its_own_and_leaves_one_log_entry(client, login, world, action, role):
    page, data, who = ACTIONS[action]
    if role != "the unknown":
        login(role)
    entries = LogEntry.objects.count()

    answer = client.post(address(page, world), data)

    assert answer.status_code == (302 if role in who or role == "the unknown" else 403)
    assert LogEntry.objects.count() - entries == (role in who)


@pytest.mark.parametrize("role", ROLES)
def test_only_operators_deactivate_hosts(client, login, world, role):
    login(role)
    host = HostFactory()

    client.post(
        reverse("admin:rewards_host_changelist"),
        {"action": "deactivate", "_selected_action": [host.pk], "index": "0"},
    )

    host.refresh_from_db()
    assert (host.left_on is not None) == (role in OPERATORS)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_form_without_its_token_is_refused(client, login, world, action):
    login("superuser")
    client.handler.enforce_csrf_checks = True
    entries = LogEntry.objects.count()

    answer = client.post(address(ACTIONS[action][0], world), ACTIONS[action][1])

    assert answer.status_code == 403
    assert b"no longer valid" in answer.content
    assert LogEntry.objects.count() == entries


def test_even_a_superuser_leaves_the_ledger_as_it_is(client, login, world):
    login("superuser")
    award = world["scorehistory"]

    client.post(address("rewards_scorehistory_change", world), {"points": "999"})

    assert ScoreHistory.objects.get(pk=award.pk).points == award.points


def test_the_roles_can_be_removed_and_created_again(roles):
    editors = Group.objects.get(name="Rule editor")
    asked = SimpleNamespace(connection=connection)

    roles_migration.remove_roles(apps, asked)
    removed = Group.objects.filter(name__in=roles_migration.ROLES).exists()
    roles_migration.create_roles(apps, asked)
    roles_migration.create_roles(apps, asked)

    assert not removed
    for name, codenames in roles_migration.ROLES.items():
        permissions = Group.objects.get(name=name).permissions
        assert sorted(permissions.values_list("codename", flat=True)) == sorted(codenames)
    assert Group.objects.get(name="Rule editor").pk != editors.pk
