"""Probes: `/livez` asks nothing, `/readyz` asks the database."""

from datetime import UTC, datetime

import pytest
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.test.utils import CaptureQueriesContext

from rewards.selectors import database
from rewards.services.unchanged_settings import (
    forget_unchanged_settings,
    record_min_call_seconds,
)
from tests.api.conftest import problem_of
from tests.factories import ActivityEventFactory, ApiKeyFactory, key_text

PROBE = {"SERVER_NAME": "10.0.0.7"}
"""A probe asks by address, without TLS."""


@pytest.fixture(autouse=True)
def production(settings, monkeypatch):
    settings.ALLOWED_HOSTS = ["rewards.example"]
    settings.SECURE_SSL_REDIRECT = True
    monkeypatch.setattr(database, "_is_current", False)


def test_a_process_is_live_without_a_database():
    response = Client().get("/livez", **PROBE)

    assert (response.status_code, response.json()) == (200, {"status": "live"})
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Content-Length"] == str(len(response.content))


@pytest.mark.django_db
@pytest.mark.parametrize("is_live", [True, False])
def test_a_ready_process_says_whether_live_awards_are_on(settings, is_live):
    settings.REWARDS_LIVE = is_live

    response = Client().get("/readyz", **PROBE)

    assert response.status_code == 200
    assert response.json() == {"status": "ready", "live_awards": is_live}


@pytest.mark.django_db
def test_a_migration_that_is_missing_is_no_readiness():
    MigrationRecorder.Migration.objects.filter(app="rewards").latest("name").delete()

    found = problem_of(Client().get("/readyz", **PROBE), 503, "not-ready")

    assert found["detail"] == "The database lacks 1 migration."


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "value"), [("REWARDS_TIME_ZONE", "Asia/Kolkata"), ("REWARDS_MIN_CALL_SECONDS", 30)]
)
def test_wrong_settings_are_no_readiness(name, value, settings, caplog):
    ActivityEventFactory(occurred_at=datetime(2026, 11, 16, 23, 30, tzinfo=UTC))
    record_min_call_seconds()
    right = getattr(settings, name)
    setattr(settings, name, value)
    api = Client(headers={"authorization": f"Bearer {key_text(ApiKeyFactory())}"})
    event = {"event_id": "e", "user_id": "u", "kind": "login", "occurred_at": "2026-11-16T12:00Z"}

    for _ in range(2):
        for answer in (
            Client().get("/readyz", **PROBE),
            api.post(
                "/api/v1/events",
                {"events": [event]},
                content_type="application/json",
                secure=True,
                SERVER_NAME="rewards.example",
            ),
        ):
            found = problem_of(answer, 503, "not-ready")
            assert found["detail"] == "The server has wrong settings; its log says which."

    (record,) = caplog.records
    assert (record.levelname, name in record.getMessage()) == ("ERROR", True)
    # The right settings come with a new process.
    forget_unchanged_settings()
    setattr(settings, name, right)
    assert Client().get("/readyz", **PROBE).status_code == 200


@pytest.mark.django_db
def test_a_ready_process_asks_one_query_from_then_on():
    record_min_call_seconds()  # as with the first activity
    Client().get("/readyz", **PROBE)

    with CaptureQueriesContext(connection) as queries:
        assert Client().get("/readyz", **PROBE).status_code == 200

    assert [query["sql"] for query in queries] == ["SELECT 1"]


@pytest.mark.parametrize("was_ready", [True, False])
def test_an_absent_database_is_no_readiness(monkeypatch, was_ready):
    monkeypatch.setattr(database, "_is_current", was_ready)

    def refuse(*args):
        raise OperationalError("connection to server at 10.0.0.1, user rewards, failed")

    monkeypatch.setattr(connection, "ensure_connection", refuse)
    monkeypatch.setattr(connection, "cursor", refuse)

    found = problem_of(Client().get("/readyz", **PROBE), 503, "not-ready")

    assert found["detail"] == "The database cannot be reached."


def test_other_addresses_keep_their_checks():
    assert Client().get("/livez/", **PROBE).status_code == 400
    assert Client().get("/", headers={"host": "rewards.example"}).status_code == 301
