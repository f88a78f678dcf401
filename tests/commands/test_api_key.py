"""api_key from the outside."""

import json
import re
from datetime import UTC, date, datetime

import pytest

from rewards.models import ApiClient, ApiKey
from rewards.selectors.api_clients import key_of_text
from tests.factories import ApiClientFactory, ApiKeyFactory, key_text

pytestmark = pytest.mark.django_db

TODAY = date(2026, 11, 24)


def test_a_key_of_a_client_is_shown_once(manage):
    client = ApiClientFactory(source="app")

    code, out, err = manage("api_key", "create", "app")

    first, text = out.splitlines()
    assert (code, err) == (0, "")
    assert first == "Created a key of The app. It is shown only now:"
    key = key_of_text(text, today=TODAY)
    assert (key.client, key.created_by, key.expires_on) == (client, None, None)
    assert text not in "".join(manage("api_key", "list")[1:])


def test_a_key_may_expire(manage):
    ApiClientFactory(source="app")

    _, out, _ = manage("api_key", "create", "app", "--expires-on", "2026-12-31")

    assert out.startswith("Created a key of The app, valid through 2026-12-31. It is shown")
    assert ApiKey.objects.get().expires_on == date(2026, 12, 31)


def test_a_client_is_created_with_its_first_key(manage):
    code, out, err = manage(
        "api_key", "create", "app", "--client", "The app", "--scope", "events:write",
        "--scope", "scores:read", "--creates-hosts", "--requests-per-second", "50",
        "--format", "json",
    )  # fmt: skip

    assert (code, err) == (0, "")
    client = ApiClient.objects.get()
    assert (client.name, client.source, client.requests_per_second) == ("The app", "app", 50)
    assert client.creates_hosts
    created = json.loads(out)
    assert key_of_text(created.pop("key"), today=TODAY).client == client
    assert created == {
        "prefix": f"rwd_{ApiKey.objects.get().prefix}",
        "source": "app",
        "client": "The app",
        "scopes": ["events:write", "scores:read"],
        "state": "valid",
        "created_at": "2026-11-24T03:00:00+00:00",
        "expires_on": None,
        "revoked_at": None,
        "last_used_on": None,
    }


def test_a_client_is_not_left_without_the_key_asked_for(manage):
    code, _, err = manage(
        "api_key", "create", "app", "--client", "The app", "--scope", "events:write",
        "--expires-on", "2026-11-23",
    )  # fmt: skip

    assert (code, err) == (
        2, "CommandError: The key would have expired: 2026-11-23 is before today, 2026-11-24.\n",
    )  # fmt: skip
    assert not ApiClient.objects.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["create", "none"], "No client has the source 'none'; add --client TEXT and --scope to"),
        (["create", "two\nlines"], "No client has the source 'two\\nlines'; add --client"),
        (["create"], "The action create needs a NAME; see --help."),
        (["revoke"], "The action revoke needs a NAME; see --help."),
        (["list", "app"], "The action list takes no NAME."),
        (["list", "--client", "x"], "The action list takes none of the options of create."),
        (
            ["revoke", "aaaaaaaa", "--creates-hosts"],
            "The action revoke takes none of the options",
        ),
        (["revoke", "aaaaaaaa"], "There is no key 'rwd_aaaaaaaa'; see `manage.py api_key list`."),
        (["create", "app", "--scope", "events:write"], "Options of a new client need its name: "),
        (["create", "new", "--client", "New"], "A new client needs a --scope: events:write, "),
        (
            ["create", "app", "--client", "App", "--scope", "events:write"],
            "Another client has this source.",
        ),
        (
            ["create", "two words", "--client", "App", "--scope", "events:write"],
            "Use 1 to 64 visible ASCII characters.",
        ),
        (["create", "app", "--verbosity", "0"], "A key is shown only when it is created; leave"),
    ],
)
def test_bad_words_are_refused_and_nothing_is_written(manage, words, message):
    ApiClientFactory(source="app")

    code, out, err = manage("api_key", *words)

    assert (code, out) == (2, "")
    assert err.startswith(f"CommandError: {message}")
    assert err.count("\n") == 1
    assert (ApiClient.objects.count(), ApiKey.objects.count()) == (1, 0)


@pytest.mark.parametrize("option", [("--scope", "all"), ("--requests-per-second", "0")])
def test_a_bad_value_of_an_option_is_a_usage_error(manage, option):
    code, out, err = manage("api_key", "create", "app", "--client", "App", *option)

    assert (code, out) == (2, "")
    assert option[0] in err


def test_a_third_valid_key_is_refused(manage):
    keys = ApiKeyFactory.create_batch(2, client=ApiClientFactory(source="app"))

    code, _, err = manage("api_key", "create", "app")

    assert (code, err) == (
        2, f"CommandError: The app has 2 valid keys, {keys[0]} and {keys[1]}; revoke one first.\n"
    )  # fmt: skip


@pytest.mark.parametrize("name_of", [str, lambda key: key.prefix, key_text])
def test_a_key_is_revoked_by_its_name_or_its_text(manage, name_of):
    key = ApiKeyFactory()

    first = manage("api_key", "revoke", name_of(key))
    second = manage("api_key", "revoke", name_of(key))

    assert first == (0, f"Revoked {key} of The app.\n", "")
    assert second == (0, f"Nothing to do: revoked already: {key} of The app.\n", "")
    key.refresh_from_db()
    assert key.revoked_at == datetime(2026, 11, 24, 3, tzinfo=UTC)


def test_the_list_shows_the_state_of_each_key(manage):
    app = ApiClientFactory(source="app")
    valid = ApiKeyFactory(client=app, last_used_on=TODAY)
    expired = ApiKeyFactory(client=app, expires_on=date(2026, 11, 23))
    revoked = ApiKeyFactory(client=app, revoked_at=datetime(2026, 11, 20, tzinfo=UTC))
    inactive = ApiKeyFactory(client=ApiClientFactory(source="old", name="Old", is_active=False))

    code, out, _ = manage("api_key", "list")

    assert code == 0
    lines = [re.split("  +", line) for line in out.splitlines()]
    assert lines[0] == ["key", "source", "client", "state", "created", "expires", "last used"]
    assert {tuple(line) for line in lines[1:]} == {
        (str(valid), "app", "The app", "valid", "2026-11-01", "never", "2026-11-24"),
        (str(expired), "app", "The app", "expired", "2026-11-01", "2026-11-23", "never"),
        (str(revoked), "app", "The app", "revoked", "2026-11-01", "never", "never"),
        (str(inactive), "old", "Old", "inactive", "2026-11-01", "never", "never"),
    }
    _, out, _ = manage("api_key", "list", "--format", "json")
    assert [key["state"] for key in json.loads(out)["keys"]].count("valid") == 1


def test_an_empty_list_says_how_to_create_a_key(manage):
    assert manage("api_key", "list") == (0, "No keys. Create one with api_key create.\n", "")
