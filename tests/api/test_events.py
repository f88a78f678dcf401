"""POST /events: what is accepted, refused and answered."""

import gzip
import json
from datetime import UTC, datetime

import psycopg
import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rewards.api.events import MAX_EVENTS
from rewards.api.json_body import MAX_BODY_BYTES
from rewards.models import ActivityEvent, DailyActivity, Host
from rewards.services import db_errors, ingest
from tests.api.conftest import problem_of
from tests.factories import (
    A_MONDAY,
    ApiClientFactory,
    ApiKeyFactory,
    HostFactory,
    RewardRuleFactory,
    StaffFactory,
    key_text,
)
from tests.services.activity.test_fuzz import damaged, json_objects

pytestmark = pytest.mark.django_db

ADDRESS = "/api/v1/events"
NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)


def as_body(text):
    return f'{{"events": [{text}]}}'.encode()


@pytest.fixture(autouse=True)
def _now(monkeypatch):
    monkeypatch.setattr(timezone, "now", lambda: NOW)


@pytest.fixture
def host():
    return HostFactory(external_id="u1")


def client_of(key):
    return Client(
        raise_request_exception=False, headers={"authorization": f"Bearer {key_text(key)}"}
    )


def event(event_id="e1", **values):
    good = {"user_id": "u1", "kind": "login", "occurred_at": "2026-11-16T12:00:00Z"}
    return {"event_id": event_id} | good | values


def post(api, body, content_type="application/json", **headers):
    data = body if isinstance(body, str | bytes) else json.dumps(body)
    return api.post(ADDRESS, data, content_type, headers=headers)


def send(api, *events):
    """Send events and return the answer, which is 200 whatever they are."""
    response = post(api, {"events": events})
    assert response.status_code == 200, response.content
    assert response.headers["Content-Type"] == "application/json"
    answer = response.json()
    assert set(answer) == {"stored", "duplicates", "problems", "awards"}
    return answer


def test_events_are_stored_for_the_source_of_the_client(api, key, host):
    call = event("e2", kind="audio_call", duration_seconds=60)

    answer = send(api, event(), call)

    assert answer == {"stored": 2, "duplicates": 0, "problems": [], "awards": []}
    rows = ActivityEvent.objects.order_by("event_id").values_list(
        "source", "event_id", "user__external_id", "kind", "occurred_at", "duration_seconds"
    )
    noon = datetime(2026, 11, 16, 12, tzinfo=UTC)
    assert list(rows) == [
        (key.client.source, "e1", "u1", "login", noon, 0),
        (key.client.source, "e2", "u1", "audio_call", noon, 60),
    ]
    counted = DailyActivity.objects.values_list("user", "date", "logins", "audio_calls")
    assert list(counted) == [(host.pk, A_MONDAY, 1, 1)]


def test_the_same_events_again_are_duplicates(api, host):
    send(api, event())

    assert send(api, event(), event()) == {
        "stored": 0,
        "duplicates": 2,
        "problems": [],
        "awards": [],
    }


def test_bad_events_are_problems_and_the_others_are_stored(api, host):
    StaffFactory(external_id="s1")
    send(api, event("before"))

    answer = send(
        api,
        event(kind="call"),
        event("good"),
        event("before", occurred_at="2026-11-16T13:00:00Z"),
        event(user_id="nobody"),
        event("e2", user_id="s1"),
        event("e3", points=7),
        event("e4", kind="video_call"),
        "e5",
    )

    assert answer["stored"] == 1
    assert answer["problems"] == [
        {"index": index, "event_id": event_id, "part": part, "reason": reason}
        for index, event_id, part, reason in [
            (0, "e1", "kind", "Bad kind 'call': use one of login, audio_call, video_call."),
            (
                *(2, "before", "conflict"),
                "Conflict: event 'before' is already stored with different content.",
            ),
            (3, "e1", "user", "Unknown user 'nobody'."),
            (4, "e2", "user", "User 's1' is not a host."),
            (
                *(5, "e3", "line"),
                "Unknown key 'points'; known: event_id, user_id, kind, occurred_at, "
                "duration_seconds.",
            ),
            (
                *(6, "e4", "duration_seconds"),
                "Missing duration_seconds: only a login needs none; use whole seconds in digits "
                "0-9, 0 to 86400.",
            ),
            (7, None, "line", 'Expected a JSON object, found "e5".'),
        ]
    ]
    assert set(ActivityEvent.objects.values_list("event_id", flat=True)) == {"before", "good"}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('{"event_id": "e1", "kind": "login", "kind": "login"}', "Key 'kind' twice."),
        ('{"duration_seconds": NaN}', "Not a JSON number: NaN."),
        ('{"duration_seconds": -Infinity}', "Not a JSON number: -Infinity."),
        ('{"duration_seconds": %s}' % ("9" * 5_000), "Number too long."),
        ("NaN", "Not a JSON number: NaN."),
        (json.dumps(event("a\0")), r"Bad event_id 'a\x00': use 1 to 128 visible ASCII characters."),
        (json.dumps(event("\ud800")), r"Bad event_id '\ud800': use 1 to 128 visible ASCII"),
        (json.dumps(event(kind=["x"] * 3)), "Bad kind: expected text, found a list."),
    ],
)
def test_what_is_wrong_with_an_event_keeps_no_other_out(bad, reason, api, host):
    response = post(api, f'{{"events": [{bad}, {json.dumps(event("good"))}]}}')

    assert response.status_code == 200, response.content
    (problem,) = response.json()["problems"]
    assert (problem["index"], problem["reason"][: len(reason)]) == (0, reason)
    assert ActivityEvent.objects.get().event_id == "good"


def test_a_request_of_bad_events_only_is_served(api):
    answer = send(api, {}, None)

    assert (answer["stored"], len(answer["problems"])) == (0, 2)


# --- Refused as a whole -----------------------------------------------------------------------

GOOD = json.dumps(event())


@pytest.mark.parametrize(
    ("body", "detail", "pointer"),
    [
        ({}, "Missing key 'events'.", ""),
        ([], "Expected an object with a list of events, found a list.", ""),
        ("null", "Expected an object with a list of events, found null.", ""),
        ({"events": []}, "Bad events: send 1 to 1,000 in a request, found 0.", "/events"),
        ({"events": None}, "Bad events: expected a list, found null.", "/events"),
        ({"events": event()}, "Bad events: expected a list, found an object.", "/events"),
        (
            {"events": [event()], "source/x": "y"},
            "Unknown key 'source/x'; known: events.",
            "/source~1x",
        ),
        (
            {"events": [None] * (MAX_EVENTS + 1)},
            "Bad events: send 1 to 1,000 in a request, found 1,001.",
            "/events",
        ),
    ],
)
def test_an_invalid_body_is_refused(body, detail, pointer, api, host):
    found = problem_of(post(api, body), 422, "invalid")

    assert found["detail"] == detail
    assert found["errors"] == [{"pointer": pointer, "detail": detail}]
    assert not ActivityEvent.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        f'{{"events": [{GOOD}]'.encode(),
        f'{{"events": [{GOOD}]}} 1'.encode(),
        f'{{"events": [{GOOD}], "events": [{GOOD}]}}'.encode(),
        b'{"events": NaN}',
        b'{"events": [' + b"[" * 100_000,
        b'{"events": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"events": ["\xff"]}',
        b'{"events": ["a\0"]}',
        json.dumps({"events": [event()]}).encode("utf-16"),
    ],
    ids=lambda body: repr(body[:30]),
)
def test_what_is_no_json_is_refused(body, api, host):
    problem_of(post(api, body), 400, "bad-json")

    assert not ActivityEvent.objects.exists()


def test_a_body_that_is_too_large_is_refused(api, host):
    body = json.dumps({"events": [event()]})
    room = MAX_BODY_BYTES - len(body)

    problem_of(post(api, body + " " * (room + 1)), 413, "too-large")
    assert not ActivityEvent.objects.exists()
    assert post(api, body + " " * room).status_code == 200


def test_a_compressed_body_is_refused(api, host):
    body = gzip.compress(json.dumps({"events": [event()]}).encode())

    response = post(api, body, **{"content-encoding": "gzip"})

    problem_of(response, 415, "unsupported-media-type")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_refused(content_type, api, host):
    response = post(api, {"events": [event()]}, content_type)

    problem_of(response, 415, "unsupported-media-type")
    assert not ActivityEvent.objects.exists()


def test_a_parameter_of_the_address_is_refused(api, host):
    response = api.post(f"{ADDRESS}?source=web", {"events": [event()]}, "application/json")

    problem_of(response, 422, "invalid")


def test_events_are_not_read(api):
    problem_of(api.get(ADDRESS), 405, "method-not-allowed")


@settings(
    max_examples=max(60, settings().max_examples),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(body=st.binary(max_size=200) | damaged(json_objects().map(as_body)))
def test_any_body_is_served_or_refused(body, api):
    response = post(api, body)

    if response.status_code == 200:
        answer = response.json()
        assert answer["stored"] + answer["duplicates"] + len(answer["problems"]) >= 1
    else:
        # The test client sends no content type without a body.
        assert response.status_code in ({400, 422} if body else {415}), response.content
        assert response.json()["detail"].endswith(".")


# --- Who may ----------------------------------------------------------------------------------


def test_a_key_without_the_scope_is_refused(host):
    key = ApiKeyFactory(client__scopes=["scores:read", "hosts:write"])

    response = post(client_of(key), {"events": [event()]})

    problem_of(response, 403, "forbidden")
    assert not ActivityEvent.objects.exists()


def test_no_key_is_refused(host):
    problem_of(post(Client(), {"events": [event()]}), 401, "unauthorized")


def test_ids_of_another_source_cannot_be_touched(api, key, host):
    other = client_of(ApiKeyFactory())
    send(api, event())
    stored = list(ActivityEvent.objects.values())

    # Neither a duplicate nor a conflict: another event, of another source.
    answer = send(other, event(kind="video_call", duration_seconds=9))

    assert (answer["stored"], answer["duplicates"], answer["problems"]) == (1, 0, [])
    assert list(ActivityEvent.objects.filter(source=key.client.source).values()) == stored
    assert send(api, event())["duplicates"] == 1


def test_hosts_are_created_for_a_client_that_may():
    may = client_of(ApiKeyFactory(client=ApiClientFactory(creates_hosts=True)))
    may_not = client_of(ApiKeyFactory(client=ApiClientFactory(creates_hosts=False)))

    assert send(may_not, event(user_id="new"))["problems"][0]["part"] == "user"
    assert not Host.objects.exists()
    assert send(may, event(user_id="new"))["stored"] == 1
    assert Host.objects.get().external_id == "new"


# --- The database -----------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, MAX_EVENTS])
def test_a_request_takes_at_most_six_statements(number, host):
    RewardRuleFactory(threshold=100)
    key = ApiKeyFactory(client=ApiClientFactory(creates_hosts=True))
    api = client_of(key)
    # The key is used today, the settings are recorded, the live run is open.
    send(api, event("first"))
    send(api, event("first"))
    events = [event(f"e{n}", user_id=f"new-{n}") for n in range(number)]

    for repeat in (False, True):
        with CaptureQueriesContext(connection) as queries:
            assert send(api, *events)["duplicates"] == repeat * number
        # Django does not know the text of a statement that was prepared before.
        words = [(query["sql"] or "WITH").split()[0] for query in queries]
        statements = ["SELECT" if word == "WITH" else word for word in words]
        # The key, BEGIN, hosts, events, and of the second request the duplicates, COMMIT.
        expected = ["SELECT", "SAVEPOINT", *["SELECT"] * (3 if repeat else 2), "RELEASE"]
        assert statements == expected


def test_a_busy_database_is_503_and_says_when_to_try_again(api, host, monkeypatch):
    monkeypatch.setattr(db_errors.time, "sleep", lambda seconds: None)

    def locked(**_):
        error = OperationalError("canceling statement due to lock timeout")
        error.__cause__ = psycopg.errors.LockNotAvailable()
        raise error

    monkeypatch.setattr(ingest, "store_events", locked)

    response = post(api, {"events": [event()]})

    found = problem_of(response, 503, "busy")
    assert found["detail"] == (
        "The database is busy; nothing was stored. Send the same events again."
    )
    assert int(response.headers["Retry-After"]) > 0


def test_changed_settings_are_503(api, host, settings):
    send(api, event(occurred_at="2026-11-16T23:00:00Z"))
    settings.REWARDS_TIME_ZONE = "Asia/Kolkata"

    assert post(api, {"events": [event("e2")]}).status_code == 503
    assert ActivityEvent.objects.count() == 1
