import time

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from rewards_site.sessions import MAX_AGE
from tests.factories import StaffFactory

INDEX = reverse("admin:index")


@pytest.fixture
def person(client, db):
    person = StaffFactory()
    client.force_login(person)
    return person


@pytest.fixture
def pass_time(monkeypatch):
    """Move the clock of this process."""
    passed = 0
    real = time.time

    def pass_time(seconds):
        nonlocal passed
        passed += seconds

    monkeypatch.setattr("time.time", lambda: real() + passed)
    return pass_time


def test_a_session_in_use_is_renewed_up_to_its_maximum_age(client, person, pass_time):
    answers = []
    for _ in range(30):
        answers.append(client.get(INDEX).status_code)
        pass_time(MAX_AGE.total_seconds() / 30 + 1)

    assert answers == [200] * 30
    assert client.get(INDEX).status_code == 302


def test_a_session_is_saved_at_most_once_a_minute(client, person, pass_time):
    def saves():
        with CaptureQueriesContext(connection) as queries:
            client.get(INDEX)
        return sum('UPDATE "django_session"' in query["sql"] for query in queries)

    first, second = saves(), saves()
    pass_time(61)

    assert (first, second, saves()) == (1, 0, 1)


def test_an_idle_session_lasts_half_an_hour(client, person):
    client.get(INDEX)

    assert client.session.get_expiry_age() == settings.SESSION_COOKIE_AGE == 1800


def test_a_new_password_ends_older_sessions(client, person):
    person.set_password("another horse battery")
    person.save()

    assert client.get(INDEX).status_code == 302


def test_a_deactivated_user_is_signed_out_at_once(client, person):
    person.is_active = False
    person.save()

    assert client.get(INDEX).status_code == 302


def test_a_cookie_is_invalid_after_signing_out(client, person):
    client.get(INDEX)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value

    client.post(reverse("admin:logout"))
    client.cookies[settings.SESSION_COOKIE_NAME] = cookie

    assert client.get(INDEX).status_code == 302
