"""Optimistic locking of what Django's own admin saves: staff, groups and the schedule.

Hosts and rules have services that check the version token; their tests are beside them.
"""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule

from rewards.admin.staff import StaffAdmin
from rewards.models import Schedule, User
from tests.admin.conftest import fields
from tests.factories import StaffFactory


@pytest.fixture
def schedule(db):
    interval = IntervalSchedule.objects.create(every=7, period=IntervalSchedule.MINUTES)
    return Schedule.objects.create(name="a tick", task="award_due", interval=interval)


@pytest.fixture
def person(roles):
    return StaffFactory(username="cleo")


@pytest.fixture
def group(db):
    return Group.objects.create(name="Auditors")


EDITS = {
    "person": ("rewards_user_change", {"first_name": "Cleo"}, {"last_name": "King"}),
    "group": ("auth_group_change", {"name": "Reviewers"}, {"name": "Friends"}),
    "schedule": ("rewards_schedule_change", {"minutes": "10"}, {"minutes": "20"}),
}
"""A page, and what Ann and Bob change on it."""


@pytest.mark.parametrize("name", EDITS)
def test_the_second_of_two_editors_is_refused(client, login, request, name):
    page, anns, bobs = EDITS[name]
    row = request.getfixturevalue(name)
    address = reverse(f"admin:{page}", args=[row.pk])
    ann = login("superuser")
    opened = fields(client.get(address))
    client.post(address, opened | anns)
    login("superuser")
    row.refresh_from_db()
    before = type(row).objects.values().get(pk=row.pk)

    answer = client.post(address, opened | bobs)

    when = timezone.localtime(LogEntry.objects.get().action_time)
    assert answer.context["adminform"].form.non_field_errors() == [
        f"{row} has changed since you opened this page (last entry in the log: {ann}, "
        f"{when:%Y-%m-%d %H:%M:%S %Z}); reload it and make your change again."
    ]
    assert type(row).objects.values().get(pk=row.pk) == before
    assert LogEntry.objects.count() == 1
    assert client.post(address, fields(client.get(address)) | bobs).status_code == 302
    assert LogEntry.objects.count() == 2


def test_a_row_is_locked_before_its_token_is_checked(client, login, group):
    login("superuser")
    address = reverse("admin:auth_group_change", args=[group.pk])
    opened = fields(client.get(address))

    with CaptureQueriesContext(connection) as queries:
        client.post(address, opened | {"name": "Reviewers"})

    statements = [query["sql"] for query in queries]
    lock = next(n for n, sql in enumerate(statements) if sql.endswith("FOR UPDATE"))
    update = next(n for n, sql in enumerate(statements) if sql.startswith("UPDATE"))
    assert 'FROM "auth_group"' in statements[lock]
    assert lock < update


def test_a_changed_membership_is_noticed(client, login, person):
    login("superuser")
    address = reverse("admin:rewards_user_change", args=[person.pk])
    opened = fields(client.get(address))
    person.groups.add(Group.objects.get(name="Operator"))

    answer = client.post(address, opened | {"first_name": "Cleo"})

    assert "has changed since" in answer.context["adminform"].form.non_field_errors()[0]
    assert [group.name for group in person.groups.all()] == ["Operator"]


def test_changed_permissions_are_noticed(client, login, group):
    login("superuser")
    address = reverse("admin:auth_group_change", args=[group.pk])
    opened = fields(client.get(address))
    group.permissions.add(Permission.objects.get(codename="view_score"))

    answer = client.post(address, opened)

    assert "has changed since" in answer.context["adminform"].form.non_field_errors()[0]
    assert group.permissions.count() == 1


def test_a_sign_in_meanwhile_is_no_conflict_and_is_kept(client, login, person):
    login("superuser")
    address = reverse("admin:rewards_user_change", args=[person.pk])
    opened = fields(client.get(address))
    now = timezone.now()
    User.objects.filter(pk=person.pk).update(last_login=now)

    answer = client.post(address, opened | {"first_name": "Cleo"})

    person.refresh_from_db()
    assert answer.status_code == 302
    assert (person.first_name, person.last_login) == ("Cleo", now)


def test_a_sign_in_during_the_save_is_kept(client, login, person, monkeypatch):
    login("superuser")
    address = reverse("admin:rewards_user_change", args=[person.pk])
    opened = fields(client.get(address))
    now, get_object = timezone.now(), StaffAdmin.get_object

    def get_object_and_sign_in(*args):
        row = get_object(*args)
        User.objects.filter(pk=person.pk).update(last_login=now)
        return row

    monkeypatch.setattr(StaffAdmin, "get_object", get_object_and_sign_in)

    client.post(address, opened | {"first_name": "Cleo"})

    person.refresh_from_db()
    assert (person.first_name, person.last_login) == ("Cleo", now)


def test_a_tick_meanwhile_is_no_conflict_and_is_kept(client, login, schedule):
    login("superuser")
    address = reverse("admin:rewards_schedule_change", args=[schedule.pk])
    opened = fields(client.get(address))
    now = timezone.now()
    Schedule.objects.filter(pk=schedule.pk).update(total_run_count=8, last_run_at=now)

    answer = client.post(address, opened | {"minutes": "10"})

    schedule.refresh_from_db()
    assert answer.status_code == 302
    assert (schedule.total_run_count, schedule.last_run_at) == (8, now)


@pytest.mark.parametrize("name", EDITS)
def test_a_form_without_its_version_token_is_refused(client, login, request, name):
    page, anns, _ = EDITS[name]
    row = request.getfixturevalue(name)
    login("superuser")
    address = reverse(f"admin:{page}", args=[row.pk])

    answer = client.post(address, fields(client.get(address)) | anns | {"version_token": ""})

    assert "(last entry in the log: none)" in answer.content.decode()
    assert not LogEntry.objects.exists()


def test_the_log_has_both_values_of_a_change_but_no_password(client, login, person):
    login("superuser")
    address = reverse("admin:rewards_user_change", args=[person.pk])
    client.post(address, fields(client.get(address)) | {"first_name": "Cleo"})
    client.post(
        reverse("admin:auth_user_password_change", args=[person.pk]),
        {"password1": "r4ther-l0ng-w0rds", "password2": "r4ther-l0ng-w0rds"},
    )

    log = LogEntry.objects.order_by("pk").values_list("change_message", flat=True)
    assert list(log) == ["First name: was none, now Cleo.", "Password changed."]


def test_new_staff_may_sign_in_here_and_are_no_hosts(client, login):
    login("superuser")
    values = {
        "username": "dora",
        "usable_password": "true",
        "password1": "r4ther-l0ng-w0rds",
        "password2": "r4ther-l0ng-w0rds",
    }

    client.post(reverse("admin:rewards_user_add"), values)

    person = User.objects.get(username="dora")
    assert (person.is_staff, person.is_superuser, person.is_host) == (True, False, False)
    assert LogEntry.objects.get().change_message == "Added."
