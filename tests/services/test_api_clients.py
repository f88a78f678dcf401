"""Clients of the API and their keys are created, changed and revoked by one service."""

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import pytest
from django.db import connection

from rewards.exceptions import ClientChanged, ClientRefused, KeyRefused
from rewards.models import ApiClient, ApiKey
from rewards.selectors.api_clients import key_of_text
from rewards.services import api_clients
from tests.factories import ApiClientFactory, ApiKeyFactory, StaffFactory

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TODAY = date(2026, 11, 24)
YESTERDAY = date(2026, 11, 23)


def new_key(client, **kwargs):
    return api_clients.create_key(client=client, now=NOW, today=TODAY, **kwargs)


def update(client, **kwargs):
    """Change a client as it is now; its other fields stay."""
    fields = ("name", "scopes", "creates_hosts", "requests_per_second", "is_active")
    values = {name: getattr(client, name) for name in fields}
    values |= {"client": client.pk, "expected_token": client.version_token}
    return api_clients.update_client(**values | kwargs)


def test_a_new_client_is_active_and_has_no_limit():
    client = api_clients.create_client(name="The app", source="app", scopes=["scores:read"])

    client.refresh_from_db()
    assert (client.name, client.source, client.scopes) == ("The app", "app", ["scores:read"])
    assert (client.is_active, client.creates_hosts) == (True, False)
    assert client.requests_per_second is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": ""}, "This field cannot be blank."),
        ({"source": "two words"}, "Use 1 to 64 visible ASCII characters."),
        ({"source": "x" * 65}, "at most 64 characters"),
        ({"source": "other"}, "Another client has this source."),
        ({"scopes": []}, "This field cannot be blank."),
        ({"scopes": ["scores:write"]}, "'scores:write' is not a valid choice"),
        ({"requests_per_second": 0}, "greater than or equal to 1"),
    ],
)
def test_an_invalid_client_is_refused(values, message):
    ApiClientFactory(source="other")
    valid = {"name": "The app", "source": "app", "scopes": ["scores:read"]}

    with pytest.raises(ClientRefused, match=re.escape(message)):
        api_clients.create_client(**valid | values)

    assert ApiClient.objects.count() == 1


def test_an_update_names_what_changed():
    client = ApiClientFactory(scopes=["scores:read"])

    report = update(client, scopes=["scores:read", "events:write"], is_active=False)

    assert report.changes == {
        "scopes": (["scores:read"], ["scores:read", "events:write"]),
        "is_active": (True, False),
    }
    client.refresh_from_db()
    assert (client.scopes, client.is_active) == (["scores:read", "events:write"], False)


def test_an_update_of_an_older_page_is_refused():
    client = ApiClientFactory()
    update(client, name="Another name")

    with pytest.raises(ClientChanged, match="has been changed since you opened it"):
        update(client, is_active=False)

    client.refresh_from_db()
    assert client.is_active


def test_an_invalid_update_changes_nothing():
    client = ApiClientFactory()

    with pytest.raises(ClientRefused, match="cannot be blank"):
        update(client, scopes=[], name="Another name")

    client.refresh_from_db()
    assert client.name == "The app"


def test_a_key_has_256_random_bits_of_which_the_digest_is_kept():
    created = new_key(ApiClientFactory(), author=(author := StaffFactory()))

    prefix, secret = re.fullmatch(r"rwd_([a-z2-7]{8})_([A-Za-z0-9_-]{43})", created.text).groups()
    key = ApiKey.objects.get()
    assert (key.prefix, key.created_at, key.created_by) == (prefix, NOW, author)
    assert bytes(key.digest) == hashlib.sha256(secret.encode()).digest()
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(k)::text FROM rewards_apikey k")
        assert secret not in cursor.fetchone()[0]
    assert secret not in repr(created)


def test_the_text_of_a_new_key_is_accepted():
    created = new_key(ApiClientFactory())

    assert key_of_text(created.text, today=TODAY) == created.key


def test_two_keys_of_a_client_never_have_the_same_text():
    client = ApiClientFactory()

    assert len({new_key(client).text, new_key(client).text}) == 2


def test_a_third_valid_key_is_refused_by_the_names_of_two():
    client = ApiClientFactory()
    first, second = new_key(client).key, new_key(client).key

    with pytest.raises(KeyRefused) as refusal:
        new_key(client)

    assert str(refusal.value) == (
        f"The app has 2 valid keys, {first} and {second}; revoke one first."
    )


@pytest.mark.parametrize(
    ("values", "is_in_the_way"),
    [
        ({}, True),
        ({"expires_on": TODAY}, True),
        ({"expires_on": YESTERDAY}, False),
        ({"revoked_at": NOW}, False),
    ],
)
def test_only_valid_keys_are_counted(values, is_in_the_way):
    client = ApiClientFactory()
    ApiKeyFactory.create_batch(2, client=client, **values)

    if is_in_the_way:
        with pytest.raises(KeyRefused):
            new_key(client)
    else:
        new_key(client)


def test_the_keys_of_other_clients_are_not_counted():
    ApiKeyFactory.create_batch(2)

    new_key(ApiClientFactory())


def test_a_key_that_would_have_expired_is_refused():
    with pytest.raises(KeyRefused, match="2026-11-23 is before today, 2026-11-24"):
        new_key(ApiClientFactory(), expires_on=YESTERDAY)

    assert new_key(ApiClientFactory(), expires_on=TODAY).key.expires_on == TODAY


@pytest.mark.django_db(transaction=True)
def test_eight_calls_at_once_create_two_keys():
    client = ApiClientFactory()

    def create(_):
        try:
            return new_key(client)
        except KeyRefused:
            return None
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        created = [key for key in threads.map(create, range(8)) if key]

    assert len(created) == ApiKey.objects.count() == 2


def test_a_key_is_revoked_once():
    key = ApiKeyFactory()

    first = api_clients.revoke_key(prefix=key.prefix, now=NOW)
    second = api_clients.revoke_key(prefix=key.prefix, now=datetime(2026, 12, 1, tzinfo=UTC))

    key.refresh_from_db()
    assert first == (key, True)
    assert second == (key, False)
    assert key.revoked_at == NOW


def test_a_key_that_does_not_exist_is_not_revoked():
    with pytest.raises(KeyRefused, match="There is no key 'rwd_aaaaaaab'"):
        api_clients.revoke_key(prefix="aaaaaaab", now=NOW)


def test_the_day_of_use_never_goes_back():
    key = ApiKeyFactory(last_used_on=TODAY)
    stale = ApiKey.objects.get()
    stale.last_used_on = None  # as read before another process wrote it

    api_clients.record_use(key=stale, today=YESTERDAY)

    key.refresh_from_db()
    assert key.last_used_on == TODAY
