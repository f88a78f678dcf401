"""Hosts are created, changed, deactivated and reactivated by one service."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
from django.db import IntegrityError, connection

from rewards.exceptions import HostChanged, HostRefused, UnknownHost
from rewards.models import Host
from rewards.services import hosts
from tests.factories import HostFactory, StaffFactory
from tests.processes import another_session, wait_until, waiting_sessions

pytestmark = pytest.mark.django_db

MONDAY = date(2026, 11, 23)
TODAY = date(2026, 11, 24)


def update(host, **kwargs):
    """Change a host as it is now; its other fields stay."""
    values = {
        "first_name": host.first_name,
        "last_name": host.last_name,
        "left_on": host.left_on,
        "expected_token": host.version_token,
    }
    return hosts.update_host(**{"host": host.pk} | values | kwargs)


def test_a_new_host_is_active_and_cannot_sign_in():
    host = hosts.create_host(external_id="ada", first_name="Ada")

    host.refresh_from_db()
    assert (host.external_id, host.username, host.first_name) == ("ada", "host:ada", "Ada")
    assert (host.is_host, host.is_staff, host.left_on) == (True, False, None)
    assert not host.has_usable_password()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"external_id": ""}, "A host needs an external id."),
        ({"external_id": "two words"}, "Use 1 to 128 visible ASCII characters."),
        ({"external_id": "x" * 129}, "at most 128 characters"),
        ({"external_id": "bea"}, "Another user has this external id."),
        ({"external_id": "ada", "first_name": "x" * 151}, "at most 150 characters"),
    ],
)
def test_an_invalid_host_is_refused(values, message):
    HostFactory(external_id="bea")

    with pytest.raises(HostRefused, match=message):
        hosts.create_host(**values)

    assert Host.objects.count() == 1


def test_a_host_created_by_someone_else_just_now_is_refused(monkeypatch):
    HostFactory(external_id="ada")
    monkeypatch.setattr(Host, "full_clean", lambda *args, **kwargs: None)  # it was not there yet

    with pytest.raises(HostRefused, match="ada") as refusal:
        hosts.create_host(external_id="ada")

    assert isinstance(refusal.value.__cause__, IntegrityError)


def test_an_update_reports_and_writes_changed_fields_only(django_assert_num_queries):
    host = HostFactory(first_name="Ada", last_name="King")
    Host.objects.filter(pk=host.pk).update(email="ada@example.org")  # known to nobody's page

    result = update(host, first_name="Augusta", left_on=TODAY)

    host.refresh_from_db()
    assert (host.first_name, host.last_name, host.left_on) == ("Augusta", "King", TODAY)
    assert host.email == "ada@example.org"
    assert result.host == host
    assert result.changes == {"first_name": ("Ada", "Augusta"), "left_on": (None, TODAY)}


def test_an_update_without_a_change_writes_nothing(django_assert_num_queries):
    host = HostFactory()

    # Savepoint, the locked row, end of the savepoint.
    with django_assert_num_queries(3):
        result = update(host)

    assert result.changes == {}


@pytest.mark.parametrize(
    "change", [{"first_name": "Bea"}, {"last_name": "Bea"}, {"left_on": MONDAY}]
)
def test_a_host_changed_since_its_page_was_opened_is_refused(change):
    host = HostFactory()
    opened = host.version_token
    update(host, **change)

    with pytest.raises(HostChanged, match=f"{host} has been changed since you opened it."):
        update(host, first_name="Cleo", expected_token=opened)

    host.refresh_from_db()
    assert {name: getattr(host, name) for name in change} == change


@pytest.mark.django_db(transaction=True)
def test_of_two_updates_at_once_the_second_is_refused():
    host = HostFactory()

    def second():
        try:
            return update(host, first_name="Bob")
        finally:
            connection.close()

    with another_session() as first, another_session() as watch, ThreadPoolExecutor() as pool:
        with first.transaction():
            first.execute("UPDATE rewards_user SET left_on = %s", [TODAY])
            answer = pool.submit(second)
            wait_until(lambda: waiting_sessions(watch, "locktype = 'transactionid'") == 1)
        with pytest.raises(HostChanged):
            answer.result()

    host.refresh_from_db()
    assert (host.first_name, host.left_on) == ("", TODAY)


def test_an_invalid_update_is_refused_and_writes_nothing():
    host = HostFactory()

    with pytest.raises(HostRefused, match="at most 150 characters"):
        update(host, first_name="x" * 151, left_on=TODAY)

    host.refresh_from_db()
    assert (host.first_name, host.left_on) == ("", None)


def test_a_member_of_staff_is_not_updated_as_a_host():
    person = StaffFactory()

    with pytest.raises(UnknownHost):
        hosts.update_host(
            host=person.pk, first_name="", last_name="", left_on=TODAY, expected_token=""
        )

    person.refresh_from_db()
    assert person.left_on is None


def test_deactivation_keeps_an_earlier_and_a_later_last_day():
    active, left, leaving, other = (
        HostFactory(left_on=day) for day in (None, MONDAY, date(2026, 12, 1), None)
    )

    changed = hosts.deactivate(hosts=[host.pk for host in (left, leaving, active)], last_day=TODAY)

    assert changed == [active]
    last_days = dict(Host.objects.values_list("pk", "left_on"))
    assert last_days == {
        active.pk: TODAY,
        left.pk: MONDAY,
        leaving.pk: date(2026, 12, 1),
        other.pk: None,
    }


def test_reactivation_clears_last_days_and_returns_them():
    active, left, other = (HostFactory(left_on=day) for day in (None, MONDAY, MONDAY))

    changed = hosts.reactivate(hosts=[active.pk, left.pk])

    assert [(host, host.left_on) for host in changed] == [(left, MONDAY)]
    last_days = dict(Host.objects.values_list("pk", "left_on"))
    assert last_days == {active.pk: None, left.pk: None, other.pk: MONDAY}


@pytest.mark.parametrize(
    "change", [hosts.reactivate, lambda **kwargs: hosts.deactivate(**kwargs, last_day=TODAY)]
)
def test_staff_are_neither_deactivated_nor_reactivated(change):
    people = [StaffFactory(left_on=day) for day in (None, MONDAY)]

    assert change(hosts=[person.pk for person in people]) == []


# --- put_host ---------------------------------------------------------------------------------


def test_put_creates_a_host():
    result = hosts.put_host(external_id="ada", values={"first_name": "Ada", "left_on": MONDAY})

    host = Host.objects.get()
    assert (result.host, result.is_new) == (host, True)
    assert (host.external_id, host.username) == ("ada", "host:ada")
    assert (host.first_name, host.last_name, host.left_on) == ("Ada", "", MONDAY)


def test_put_changes_the_fields_named_and_no_other():
    HostFactory(external_id="ada", first_name="Ada", last_name="King", left_on=MONDAY)

    result = hosts.put_host(external_id="ada", values={"first_name": "Bea", "left_on": None})

    host = Host.objects.get()
    assert (host.first_name, host.last_name, host.left_on) == ("Bea", "King", None)
    assert (result.host, result.is_new) == (host, False)
    assert result.changes == {"first_name": ("Ada", "Bea"), "left_on": (MONDAY, None)}


@pytest.mark.parametrize("values", [{}, {"first_name": "Ada", "left_on": MONDAY}])
def test_the_same_put_again_changes_nothing(values):
    hosts.put_host(external_id="ada", values=values)
    before = list(Host.objects.values())

    result = hosts.put_host(external_id="ada", values=values)

    assert (result.is_new, result.changes) == (False, {})
    assert list(Host.objects.values()) == before


def test_put_refuses_a_user_who_is_not_a_host():
    person = StaffFactory(external_id="s1")

    with pytest.raises(HostRefused, match=r"^User 's1' is not a host\.$"):
        hosts.put_host(external_id="s1", values={"left_on": TODAY})

    person.refresh_from_db()
    assert (person.is_host, person.left_on) == (False, None)


@pytest.mark.parametrize("external_id", ["", "a b", "ü", "a\n", "a\0", "x" * 129])
def test_put_refuses_a_bad_id(external_id):
    with pytest.raises(HostRefused, match=r"^Bad user_id .*: use 1 to 128 visible ASCII"):
        hosts.put_host(external_id=external_id, values={})

    assert not Host.objects.exists()


def test_put_refuses_a_taken_user_name():
    StaffFactory(username="host:ada")

    with pytest.raises(HostRefused):
        hosts.put_host(external_id="ada", values={})

    assert not Host.objects.exists()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("first_name", 7, "Bad first_name: expected text."),
        ("last_name", None, "Bad last_name: expected text."),
        ("first_name", "x" * 151, "use up to 150 characters"),
        ("last_name", "a\0", r"Bad last_name 'a\\x00'"),
        ("last_name", "a\ud800", "none of them a control character"),
        ("left_on", 7, "Bad left_on: expected a date as text, or null."),
        ("left_on", "", "Bad left_on: The date is empty; use YYYY-MM-DD."),
        ("left_on", "2026-02-30", "Bad left_on: No such day: '2026-02-30'."),
        ("left_on", "1999-12-31", "Bad left_on: 1999-12-31 is before"),
    ],
)
def test_a_bad_value_of_a_host_is_refused(field, value, message):
    with pytest.raises(HostRefused, match=message):
        hosts.checked_value(field, value)


@pytest.mark.parametrize(
    ("field", "value", "checked"),
    [
        ("first_name", "", ""),
        ("last_name", "o" * 150, "o" * 150),
        ("first_name", "Zo\u200dë 😀", "Zo\u200dë 😀"),
        ("left_on", None, None),
        ("left_on", "2026-11-23", MONDAY),
    ],
)
def test_a_value_of_a_host_is_accepted(field, value, checked):
    assert hosts.checked_value(field, value) == checked
