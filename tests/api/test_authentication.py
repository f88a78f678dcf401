"""Who may call an endpoint: the key, its client and its scopes."""

from datetime import UTC, date, datetime

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from rewards.choices import ApiScope
from rewards.models import ApiKey
from tests.api.conftest import problem_of
from tests.factories import SECRET, ApiClientFactory, ApiKeyFactory, key_text

pytestmark = [pytest.mark.urls("tests.api.frame"), pytest.mark.django_db]

TODAY = date(2026, 11, 24)

NO_KEY = "Send a valid key: Authorization: Bearer rwd_...."


@pytest.fixture(autouse=True)
def today(monkeypatch):
    monkeypatch.setattr(timezone, "now", lambda: datetime(2026, 11, 24, 12, tzinfo=UTC))


def ask(header, address="/api/v1/own"):
    return Client().get(address, headers={"authorization": header} if header else {})


def test_a_valid_key_names_its_client(key):
    response = ask(f"Bearer {key_text(key)}")

    assert response.status_code == 200
    assert response.json() == {"number": key.client.pk, "source": key.client.source}


def test_the_scheme_is_read_in_any_case(key):
    assert ask(f"bearer {key_text(key)}").status_code == 200


def headers_without_a_valid_key(key):
    text = key_text(key)
    other = ApiKeyFactory(digest=b"x" * 32)
    return {
        "none": None,
        "empty": "Bearer ",
        "another scheme": f"Basic {text}",
        "no scheme": text,
        "no key": "Bearer something",
        "unknown": text.replace(key.prefix, "zzzzzzzz"),
        "another secret": text.replace(SECRET, "t" * 43),
        "the secret of another key": f"Bearer {key_text(other)}",
        "cut": f"Bearer {text[:-1]}",
        "longer": f"Bearer {text}s",
        "with a NUL": f"Bearer {text}\0",
        "not ASCII": f"Bearer {text[:-1]}\xe9",
        "long": "Bearer " + "r" * 5_000,
        "revoked": f"Bearer {key_text(ApiKeyFactory(revoked_at=key.created_at))}",
        "expired": f"Bearer {key_text(ApiKeyFactory(expires_on=date(2026, 11, 23)))}",
        "of an inactive client": "Bearer "
        + key_text(ApiKeyFactory(client=ApiClientFactory(is_active=False))),
    }


def test_every_other_key_is_refused_in_the_same_words(key):
    answers = {name: ask(header) for name, header in headers_without_a_valid_key(key).items()}

    for response in answers.values():
        assert problem_of(response, 401, "unauthorized")["detail"] == NO_KEY
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="rewards"'
    assert len({response.content for response in answers.values()}) == 1


def test_a_key_is_valid_through_its_last_day():
    assert ask(f"Bearer {key_text(ApiKeyFactory(expires_on=TODAY))}").status_code == 200


def test_the_last_day_is_a_business_day(monkeypatch, settings):
    settings.REWARDS_TIME_ZONE = "America/New_York"
    monkeypatch.setattr(timezone, "now", lambda: datetime(2026, 11, 25, 4, 59, tzinfo=UTC))
    key = ApiKeyFactory(expires_on=TODAY)

    before = ask(f"Bearer {key_text(key)}").status_code
    monkeypatch.setattr(timezone, "now", lambda: datetime(2026, 11, 25, 5, tzinfo=UTC))

    assert (before, ask(f"Bearer {key_text(key)}").status_code) == (200, 401)


def test_a_key_works_no_more_once_it_is_revoked(key):
    before = ask(f"Bearer {key_text(key)}").status_code
    ApiKey.objects.update(revoked_at=timezone.now())

    assert (before, ask(f"Bearer {key_text(key)}").status_code) == (200, 401)


def test_a_scope_that_is_missing_is_named():
    scopes = [scope for scope in ApiScope.values if scope != "scores:read"]
    key = ApiKeyFactory(client=ApiClientFactory(scopes=scopes))

    found = problem_of(ask(f"Bearer {key_text(key)}"), 403, "forbidden")

    assert found["detail"] == "The key does not allow scores:read."


def test_one_query_reads_a_key_that_was_used_today():
    key = ApiKeyFactory(last_used_on=TODAY)

    with CaptureQueriesContext(
        connection,
    ) as queries:
        ask(f"Bearer {key_text(key)}")

    assert len(queries) == 1


def test_the_day_of_use_is_written_once_a_day(key):
    with CaptureQueriesContext(connection) as first:
        ask(f"Bearer {key_text(key)}")
    with CaptureQueriesContext(connection) as second:
        ask(f"Bearer {key_text(key)}")

    assert (len(first), len(second)) == (2, 1)
    key.refresh_from_db()
    assert key.last_used_on == TODAY


def test_a_refused_key_is_not_used():
    key = ApiKeyFactory(expires_on=date(2026, 11, 23))

    ask(f"Bearer {key_text(key)}")

    key.refresh_from_db()
    assert key.last_used_on is None
