"""What every answer carries, whatever its status, and the pages of those that went wrong."""

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
def answer(db, monkeypatch):
    """Return an answer of a status."""

    def break_down(*args, **kwargs):
        raise RuntimeError("SELECT secret FROM /srv/place")

    monkeypatch.setattr(RedirectView, "get", break_down)
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
def test_every_answer_says_what_a_browser_may_do_with_it(answer, status):
    found = answer(status)

    assert found.status_code == status
    policy = dict(
        part.strip().split(" ", 1) for part in found["Content-Security-Policy"].split(";")
    )
    assert policy == POLICY
    assert found["X-Frame-Options"] == "DENY"
    assert found["X-Content-Type-Options"] == "nosniff"
    assert found["Referrer-Policy"] == "same-origin"
    assert found["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "This request is invalid"),
        (403, "You do not have permission to do this"),
        (404, "Page not found"),
        (500, "Something went wrong on our side"),
    ],
)
def test_what_went_wrong_has_a_page_of_its_own(answer, status, words):
    page = answer(status).content.decode()

    assert words in page
    assert reverse("admin:index") in page
    assert "<script" not in page
    assert "style=" not in page


def test_a_broken_page_tells_nothing_of_the_inside_but_is_logged(answer, caplog):
    with caplog.at_level(logging.ERROR, logger="django.request"):
        page = answer(500).content.decode()

    for secret in ["SELECT", "/srv", "RuntimeError", "rewards_site"]:
        assert secret not in page
    assert "RuntimeError" in caplog.text


def test_no_page_of_the_admin_is_kept_by_caches(answer):
    assert "no-store" in answer(200)["Cache-Control"]
