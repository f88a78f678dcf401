"""PUT /hosts/{user_id} creates and changes a host."""

import json
from datetime import date
from urllib.parse import quote

import pytest
from django.test import Client

from rewards.models import Host
from tests.api.conftest import problem_of
from tests.factories import ApiKeyFactory, HostFactory, StaffFactory, key_text

pytestmark = pytest.mark.django_db

MONDAY = date(2026, 11, 23)


def put(api, user_id, body):
    data = body if isinstance(body, str) else json.dumps(body)
    return api.put(f"/api/v1/hosts/{quote(user_id, safe='')}", data, "application/json")


def test_a_host_is_created_then_changed_then_unchanged(api):
    body = {"first_name": "Ada", "last_name": "King", "left_on": "2026-11-23"}

    created = put(api, "ada", body)
    before = list(Host.objects.values())
    repeated = put(api, "ada", body)
    assert list(Host.objects.values()) == before
    changed = put(api, "ada", {"left_on": None})

    assert (created.status_code, created.json()) == (201, {"user_id": "ada", **body})
    assert (repeated.status_code, repeated.json()) == (200, created.json())
    assert (changed.status_code, changed.json()) == (200, created.json() | {"left_on": None})
    host = Host.objects.get()
    assert (host.first_name, host.last_name, host.left_on) == ("Ada", "King", None)


def test_an_empty_object_creates_a_host(api):
    answer = put(api, "ada", {})

    assert answer.status_code == 201
    assert answer.json() == {"user_id": "ada", "first_name": "", "last_name": "", "left_on": None}


@pytest.mark.parametrize("user_id", ["a/b", "a%2Fb", '"<é>"'.replace("é", "e"), "x" * 128, "?#&=+"])
def test_an_id_is_any_visible_ascii(user_id, api):
    assert put(api, user_id, {}).json()["user_id"] == user_id
    assert Host.objects.get().external_id == user_id


@pytest.mark.parametrize("user_id", ["a b", "ü", "a\x1f", "a\0", "x" * 129])
def test_a_bad_id_is_refused(user_id, api):
    found = problem_of(put(api, user_id, {}), 422, "invalid")

    assert found["detail"].startswith("Bad user_id ")
    assert not Host.objects.exists()


def test_a_user_who_is_not_a_host_is_refused(api):
    person = StaffFactory(external_id="s1")

    found = problem_of(put(api, "s1", {"left_on": "2026-11-23"}), 422, "invalid")

    assert found["detail"] == "User 's1' is not a host."
    person.refresh_from_db()
    assert (person.is_host, person.left_on) == (False, None)


def test_everything_wrong_is_named_and_nothing_is_written(api):
    HostFactory(external_id="ada", first_name="Ada", left_on=MONDAY)

    body = {"first_name": "Bea", "last_name": 7, "left_on": "2026-02-30", "agency/x": None}
    found = problem_of(put(api, "ada", body), 422, "invalid")

    assert found["errors"] == [
        {"pointer": "/last_name", "detail": "Bad last_name: expected text."},
        {"pointer": "/left_on", "detail": "Bad left_on: No such day: '2026-02-30'."},
        {
            "pointer": "/agency~1x",
            "detail": "Unknown key 'agency/x'; known: first_name, last_name, left_on.",
        },
    ]
    host = Host.objects.get()
    assert (host.first_name, host.left_on) == ("Ada", MONDAY)


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        ("{", 400, "bad-json"),
        ('{"first_name": "a", "first_name": "b"}', 400, "bad-json"),
        ('{"first_name": "\\u0000"}', 400, "bad-json"),
        ('{"first_name": "\\ud800"}', 400, "bad-json"),
        ("[]", 422, "invalid"),
        ("null", 422, "invalid"),
    ],
)
def test_a_bad_body_is_refused(body, status, slug, api):
    problem_of(put(api, "ada", body), status, slug)

    assert not Host.objects.exists()


def test_the_key_needs_the_scope():
    key = ApiKeyFactory(client__scopes=["events:write", "scores:read"])
    api = Client(headers={"authorization": f"Bearer {key_text(key)}"})

    problem_of(put(api, "ada", {}), 403, "forbidden")
    problem_of(put(Client(), "ada", {}), 401, "unauthorized")
    assert not Host.objects.exists()
