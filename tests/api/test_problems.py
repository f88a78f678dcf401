"""Every refusal is a problem with one sentence, and shows nothing of the inside."""

import logging

import pytest
from django.test import Client

from tests.api.conftest import problem_of
from tests.api.frame import ERRORS
from tests.factories import SECRET, ApiKeyFactory, key_text

pytestmark = [pytest.mark.urls("tests.api.frame"), pytest.mark.django_db]


@pytest.fixture
def anyone():
    # As a program: without the cookie of a form.
    return Client(raise_request_exception=False, enforce_csrf_checks=True)


AWAY = "The database is busy or cannot be reached; send the same request again."
BUG = "An unexpected error occurred; it is in the log."

ANSWERS = {
    "bug": (500, "internal", BUG),
    "ledger": (500, "internal", BUG),
    "host": (404, "unknown-host", "There is no host 7."),
    "period": (422, "invalid", "The day has not ended."),
    "running": (503, "busy", "Another process is working on it."),
    "slow": (503, "busy", "The query took too long."),
    "zone": (503, "not-ready", "The server has wrong settings; its log says which."),
    "missing": (404, "not-found", "There is nothing at this address."),
    "refused": (403, "forbidden", "Not this."),
    "disconnected": (400, "bad-request", "The request is malformed."),
    "teapot": (418, "i'm-a-teapot", "Only tea."),
    "lock": (503, "busy", AWAY),
    "connection": (503, "busy", AWAY),
    "closed": (503, "busy", AWAY),
}
"""For each error of the frame: status, kind and sentence."""


@pytest.mark.parametrize("name", ERRORS)
def test_an_exception_is_a_problem(anyone, name):
    status, slug, detail = ANSWERS[name]

    response = anyone.get(f"/api/v1/errors/{name}")

    assert problem_of(response, status, slug)["detail"] == detail
    assert ("Retry-After" in response.headers) == (status == 503)
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("name", [name for name, answer in ANSWERS.items() if answer[1] == "busy"])
def test_a_busy_engine_is_logged_in_one_line(anyone, caplog, name):
    anyone.get(f"/api/v1/errors/{name}")

    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith(f"GET /api/v1/errors/{name}: {ERRORS[name]()}")


def test_an_address_forges_no_line_of_the_log(anyone, caplog):
    address = "/api/v1/errors/a%0A2026-11-24%20ERROR%20forged"

    anyone.get(address)  # an unknown error is a bug of the frame

    (record,) = caplog.records
    assert record.getMessage() == f"GET {address} failed."


@pytest.mark.parametrize("debug", [True, False])
def test_a_bug_is_logged_and_not_shown(anyone, settings, caplog, debug):
    settings.DEBUG = debug

    with caplog.at_level(logging.ERROR):
        response = anyone.get("/api/v1/errors/bug")

    assert "secret" not in response.content.decode()
    (record,) = caplog.records
    assert record.getMessage() == "GET /api/v1/errors/bug failed."
    assert "SELECT secret" in str(record.exc_info)


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("address", ["/api/v1/none", "/api/v2/numbers/1", "/api/", "/api"])
@pytest.mark.parametrize("method", ["get", "post", "put", "delete"])
def test_an_unknown_address_is_not_found(anyone, settings, address, method, debug):
    settings.DEBUG = debug

    problem_of(getattr(anyone, method)(address), 404, "not-found")


def test_a_wrong_method_names_the_right_ones(anyone):
    response = anyone.delete("/api/v1/own")

    problem_of(response, 405, "method-not-allowed")
    assert set(response.headers["Allow"].split(", ")) == {"GET", "POST"}


@pytest.mark.urls("rewards_site.urls")
def test_a_wrong_host_name_is_a_problem(anyone, settings):
    settings.ALLOWED_HOSTS = ["rewards.example"]

    problem_of(anyone.get("/api/v1/numbers/1"), 400, "bad-request")


def test_a_wrong_parameter_is_named(anyone):
    found = problem_of(anyone.get("/api/v1/numbers/x?limit=y"), 422, "invalid")

    assert found["detail"] == "The request has 2 invalid values."
    assert [part["parameter"] for part in found["errors"]] == ["number", "limit"]
    assert all(part["detail"].startswith("Bad ") for part in found["errors"])


def test_a_wrong_value_of_the_body_has_its_pointer(anyone):
    found = problem_of(
        anyone.post(
            "/api/v1/items",
            {"items": [{"kind": "a", "seconds": 1}, {"kind": "b", "seconds": "x"}]},
            content_type="application/json",
        ),
        422,
        "invalid",
    )

    (part,) = found["errors"]
    assert part["pointer"] == "/items/1/seconds"
    assert part["detail"] == found["detail"]


@pytest.mark.urls("rewards_site.urls")
def test_the_mail_about_a_bug_holds_no_key(settings, mailoutbox, monkeypatch):
    settings.ADMINS = [("", "ops@rewards.example")]
    key = ApiKeyFactory()
    monkeypatch.setattr("rewards.api.authentication.require_rate", lambda client: 1 / 0)

    response = Client().get("/api/v1/runs", headers={"authorization": f"Bearer {key_text(key)}"})

    problem_of(response, 500, "internal")
    (mail,) = mailoutbox
    assert "ZeroDivisionError" in mail.body
    assert "/api/v1/runs" in mail.body
    assert SECRET not in str(mail.message())


def test_an_absent_database_mails_nobody(anyone, settings, mailoutbox):
    settings.ADMINS = [("", "ops@rewards.example")]

    anyone.get("/api/v1/errors/connection")

    assert mailoutbox == []


def test_a_missing_body_is_a_problem(anyone):
    response = anyone.post("/api/v1/items", b"", content_type="application/json")

    problem_of(response, 422, "invalid")
