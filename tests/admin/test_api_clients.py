"""The clients of the API and their keys, as a superuser sees them."""

from datetime import UTC, date, datetime

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse
from django.utils import timezone

from rewards.models import ApiClient, ApiKey
from rewards.selectors.api_clients import key_of_text
from tests.admin.conftest import ROLES, fields, messages, words
from tests.factories import SECRET, ApiClientFactory, ApiKeyFactory

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TODAY = date(2026, 11, 24)

NEW = {"name": "The app", "source": "app", "scopes": ["events:write", "scores:read"]}


@pytest.fixture(autouse=True)
def superuser(login, monkeypatch):
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    return login("superuser")


def address(page, *args):
    return reverse(f"admin:rewards_apiclient_{page}", args=args)


def errors(page, form="form"):
    return [message for each in page.context[form].errors.values() for message in each]


def entries():
    return list(LogEntry.objects.order_by("id").values_list("change_message", flat=True))


def test_the_list_shows_each_client(client):
    app = ApiClientFactory(source="app", scopes=["scores:read"], requests_per_second=1_500)
    ApiKeyFactory(client=app, last_used_on=date(2026, 11, 20))
    ApiKeyFactory(client=app, last_used_on=date(2026, 11, 22))
    ApiClientFactory(source="old", name="Old", is_active=False)

    shown = words(client.get(address("changelist")))

    assert "The app app scores:read 1,500 active 2026-11-22" in shown
    assert "inactive never" in shown


def test_a_new_client_leads_to_its_page(client):
    page = client.post(address("add"), NEW, follow=True)

    created = ApiClient.objects.get()
    assert page.redirect_chain == [(address("change", created.pk), 302)]
    assert messages(page) == ["The app was added. Create its first key below."]
    assert (created.source, created.scopes) == ("app", ["events:write", "scores:read"])
    assert (created.is_active, created.requests_per_second) == (True, None)
    assert entries() == ["Added with the source app."]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": ""}, "This field is required."),
        ({"source": "two words"}, "Use 1 to 64 visible ASCII characters."),
        ({"source": "x" * 65}, "Ensure this value has at most 64 characters (it has 65)."),
        ({"source": "other"}, "Another client has this source."),
        ({"scopes": []}, "This field is required."),
        ({"scopes": ["all"]}, "Select a valid choice. all is not one of the available choices."),
        (
            {"requests_per_second": "1e3"},
            "Enter a whole number 1–10,000, digits 0–9 only.",
        ),
    ],
)
def test_a_bad_value_is_an_error_beside_its_field(client, values, message):
    ApiClientFactory(source="other")

    page = client.post(address("add"), NEW | values)

    assert page.status_code == 200
    assert errors(page) == [message]
    assert ApiClient.objects.count() == 1


def test_a_client_is_changed_and_its_source_is_not(client):
    app = ApiClientFactory(source="app")
    sent = fields(client.get(address("change", app.pk)))
    assert "source" not in sent

    values = {"name": "New", "scopes": ["scores:read"], "requests_per_second": "20"}
    page = client.post(
        address("change", app.pk),
        values | {"source": "stolen", "version_token": sent["version_token"]},
        follow=True,
    )

    app.refresh_from_db()
    assert (app.name, app.source, app.scopes) == ("New", "app", ["scores:read"])
    assert (app.requests_per_second, app.is_active) == (20, False)
    assert messages(page)[0].startswith("New: Name: was The app, now New; Scopes: was ")
    assert "Active: was True, now False" in entries()[0]


def test_a_page_that_is_older_changes_nothing(client):
    app = ApiClientFactory()
    token = fields(client.get(address("change", app.pk)))["version_token"]
    ApiClient.objects.update(name="Changed meanwhile")

    page = client.post(
        address("change", app.pk), {"name": "New", "scopes": app.scopes, "version_token": token}
    )

    (message,) = errors(page)
    assert "has changed since you opened this page" in message
    assert ApiClient.objects.get().name == "Changed meanwhile"


def test_a_new_key_is_shown_on_this_page_only(client, superuser):
    app = ApiClientFactory()

    page = client.post(address("create_key", app.pk), {"expires_on": "2026-12-31"})

    key = ApiKey.objects.get()
    assert page.status_code == 200
    assert key_of_text(page.context["text"], today=TODAY) == key
    assert page.context["text"] in words(page)
    assert (key.created_by, key.expires_on) == (superuser, date(2026, 12, 31))
    assert "no-store" in page.headers["Cache-Control"]
    later = words(client.get(address("change", app.pk)))
    assert str(key) in later
    assert page.context["text"] not in later
    assert entries() == [f"Created the key {key}."]


@pytest.mark.parametrize(
    ("expires_on", "message"),
    [
        ("2026-11-23", "The key would have expired: 2026-11-23 is before today, 2026-11-24."),
        ("2026-02-30", "2026-02-30"),
    ],
)
def test_a_bad_last_day_creates_no_key(client, expires_on, message):
    page = client.post(address("create_key", ApiClientFactory().pk), {"expires_on": expires_on})

    assert page.status_code == 200
    (error,) = errors(page, "key_form")
    assert message in error
    assert not ApiKey.objects.exists()
    assert entries() == []


def test_a_third_valid_key_is_refused_on_the_page(client):
    app = ApiClientFactory()
    ApiKeyFactory.create_batch(2, client=app)

    page = client.post(address("create_key", app.pk), {})

    (message,) = errors(page, "key_form")
    assert message.startswith("The app has 2 valid keys, rwd_")
    assert message in words(page)


def test_the_page_shows_the_state_of_each_key(client):
    app = ApiClientFactory()
    ApiKeyFactory(client=app, last_used_on=TODAY)
    ApiKeyFactory(client=app, expires_on=date(2026, 11, 23))
    ApiKeyFactory(client=app, revoked_at=NOW)

    page = client.get(address("change", app.pk))

    states = [(row["state"], row["may_revoke"]) for row in page.context["keys"]]
    assert sorted(states) == [("expired", True), ("revoked", False), ("valid", True)]
    assert SECRET not in page.content.decode()


def test_a_key_is_revoked_after_a_question(client):
    key = ApiKeyFactory()
    where = address("revoke_key", key.client.pk, key.pk)

    asked = words(client.get(where))
    key.refresh_from_db()
    before = key.revoked_at
    page = client.post(where, follow=True)

    key.refresh_from_db()
    assert "Every request with this key is refused from now on." in asked
    assert (before, key.revoked_at) == (None, NOW)
    assert messages(page) == [f"{key} is revoked."]
    assert entries() == [f"Revoked the key {key}."]


def test_a_key_revoked_twice_is_logged_once(client):
    key = ApiKeyFactory()

    for _ in range(2):
        client.post(address("revoke_key", key.client.pk, key.pk))

    assert entries() == [f"Revoked the key {key}."]


def test_the_key_of_another_client_is_not_found(client):
    key, other = ApiKeyFactory(), ApiKeyFactory()

    assert client.get(address("revoke_key", other.client.pk, key.pk)).status_code == 404


@pytest.mark.parametrize("role", sorted({*ROLES} - {"superuser"}))
def test_no_other_role_creates_a_key(client, login, role):
    app = ApiClientFactory()
    login(role)

    assert client.post(address("create_key", app.pk), {}).status_code == 403
    assert not ApiKey.objects.exists()


def test_a_stranger_creates_no_key(client):
    app = ApiClientFactory()
    client.logout()

    assert client.post(address("create_key", app.pk), {}).status_code == 302
    assert not ApiKey.objects.exists()


def test_a_key_is_not_created_by_a_link(client):
    app = ApiClientFactory()

    assert client.get(address("create_key", app.pk)).status_code == 403
    assert not ApiKey.objects.exists()


def test_a_key_is_not_created_without_the_csrf_token(client):
    app = ApiClientFactory()
    client.handler.enforce_csrf_checks = True

    assert client.post(address("create_key", app.pk), {}).status_code == 403
    assert not ApiKey.objects.exists()
