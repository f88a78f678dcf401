"""The headers of every response, and the error pages."""

import logging

import pytest
from django.test import Client
from django.urls import reverse
from django.views.generic import RedirectView

from tests.factories import StaffFactory

POLICY = {
    "default-src": "'none'",
    "script-src": "'self' 'unsafe-eval'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self'",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "object-src": "'none'",
}


@pytest.fixture
def respond(db, monkeypatch):
    """Return a function that requests a page with a status."""

    def fail(*args, **kwargs):
        raise RuntimeError("SELECT secret FROM /srv/place")

    monkeypatch.setattr(RedirectView, "get", fail)
    client = Client(raise_request_exception=False)
    client.force_login(StaffFactory(is_superuser=True))
    pages = {
        200: reverse("admin:index"),
        400: reverse("admin:rewards_host_changelist") + "?password__startswith=a",
        403: reverse("admin:rewards_score_add"),
        404: "/nowhere",
        500: "/",
    }
    return lambda status: client.get(pages[status])


@pytest.mark.parametrize("status", [200, 400, 403, 404, 500])
def test_every_response_carries_the_security_headers(respond, status):
    response = respond(status)

    assert response.status_code == status
    policy = dict(
        part.strip().split(" ", 1) for part in response["Content-Security-Policy"].split(";")
    )
    assert policy == POLICY
    assert response["X-Frame-Options"] == "DENY"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Referrer-Policy"] == "same-origin"
    assert response["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "This request is invalid"),
        (403, "You do not have permission to do this"),
        (404, "Page not found"),
        (500, "Something went wrong on our side"),
    ],
)
def test_each_error_has_its_own_page(respond, status, words):
    page = respond(status).content.decode()

    assert words in page
    assert reverse("admin:index") in page
    assert "<script" not in page
    assert "style=" not in page


def test_a_server_error_shows_no_internals_and_is_logged(respond, caplog):
    with caplog.at_level(logging.ERROR, logger="django.request"):
        page = respond(500).content.decode()

    for secret in ["SELECT", "/srv", "RuntimeError", "rewards_site"]:
        assert secret not in page
    assert "RuntimeError" in caplog.text


def test_pages_of_the_admin_are_not_cached(respond):
    assert "no-store" in respond(200)["Cache-Control"]
