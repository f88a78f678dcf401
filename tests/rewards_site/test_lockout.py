from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.conf import settings
from django.test import RequestFactory
from django.urls import reverse
from django.utils import timezone

from rewards_site.lockout import NAME_WEIGHT, client_address
from tests.factories import StaffFactory

LIMIT = settings.AXES_FAILURE_LIMIT
RIGHT = "correct horse battery"


@pytest.fixture
def victim(db):
    return StaffFactory(username="victim")


@pytest.fixture
def attempt(client):
    """Try to log in, and return the answer."""

    def log_in(word="wrong", *, name="victim", address="192.0.2.1", **headers):
        return client.post(
            reverse("admin:login"),
            {"username": name, "password": word},
            REMOTE_ADDR=address,
            headers=headers,
        )

    return log_in


def test_after_too_many_failures_the_right_password_is_refused(attempt, victim):
    answers = [attempt().status_code for _ in range(LIMIT)]

    assert answers == [200] * (LIMIT - 1) + [429]
    assert attempt(RIGHT).status_code == 429


def test_a_sign_in_resets_the_failures(attempt, victim):
    for _ in range(LIMIT - 1):
        attempt()

    assert attempt(RIGHT).status_code == 302
    assert not AccessAttempt.objects.exists()


def test_failures_at_one_address_do_not_lock_the_others(attempt, victim):
    for _ in range(LIMIT * NAME_WEIGHT * 2):
        attempt(address="192.0.2.66")

    assert attempt(RIGHT, address="198.51.100.7").status_code == 302


def test_failures_at_many_addresses_lock_the_name_for_a_while(attempt, victim):
    for host in range(NAME_WEIGHT):
        for _ in range(LIMIT):
            attempt(address=f"192.0.2.{host + 1}")

    locked = attempt(RIGHT, address="198.51.100.7")
    AccessAttempt.objects.update(
        attempt_time=timezone.now() - settings.AXES_COOLOFF_TIME - timedelta(seconds=1)
    )
    cooled = attempt(RIGHT, address="198.51.100.7")

    assert (locked.status_code, cooled.status_code) == (429, 302)


def test_attempts_during_a_lock_do_not_prolong_it(attempt, victim):
    for _ in range(LIMIT):
        attempt()
    before = AccessAttempt.objects.get().attempt_time

    attempt()

    assert AccessAttempt.objects.get().attempt_time == before


def test_the_response_does_not_tell_whether_a_name_exists(attempt, victim):
    known = [attempt() for _ in range(LIMIT)]
    unknown = [attempt(name="nobody") for _ in range(LIMIT)]

    assert [page.status_code for page in known] == [page.status_code for page in unknown]
    assert known[-1].content == unknown[-1].content
    assert b"victim" not in known[-1].content


def test_a_forged_address_does_not_avoid_the_lock(attempt, victim):
    for n in range(LIMIT):
        attempt(**{"X-Forwarded-For": f"203.0.113.{n}"})

    assert attempt(RIGHT, **{"X-Forwarded-For": "203.0.113.99"}).status_code == 429


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        # No proxy: the client may have forged the header.
        (0, "203.0.113.1", "192.0.2.1"),
        # One proxy: it wrote the last entry, and the client the one before.
        (1, "203.0.113.1, 198.51.100.1", "198.51.100.1"),
        # Two: the outer one wrote the last but one.
        (2, "203.0.113.1, 198.51.100.1, 10.0.0.1", "198.51.100.1"),
        # Fewer entries than proxies: the request came by another way.
        (2, "203.0.113.1", "192.0.2.1"),
        # IPv6 is an address too.
        (1, "2001:db8::1", "2001:db8::1"),
        # Not an address.
        (1, "' OR 1=1--", None),
    ],
)
def test_only_our_own_proxies_are_trusted_for_an_address(settings, proxies, forwarded, expected):
    settings.TRUSTED_PROXIES = proxies
    request = RequestFactory().get(
        "/", REMOTE_ADDR="192.0.2.1", headers={"X-Forwarded-For": forwarded}
    )

    assert client_address(request) == expected
