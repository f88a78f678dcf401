from pathlib import Path

import pytest
from django.core.checks import run_checks

from localservers.broker import LocalBroker
from rewards_site import checks
from rewards_site.celery import app
from rewards_site.checks import broker_is_suitable, celery_is_safe


def test_the_default_settings_pass():
    assert celery_is_safe() == []
    assert [found for found in run_checks() if found.id.startswith("rewards_site")] == []


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        # as long as the timeout: delivered again while it still runs
        ("task_time_limit", 360, "rewards_site.E001"),
        # no limit at all
        ("task_time_limit", None, "rewards_site.E001"),
        # without a value, kombu's default is an hour
        ("broker_transport_options", {}, None),
        ("broker_transport_options", {"visibility_timeout": 300}, "rewards_site.E001"),
        ("accept_content", ["json", "pickle"], "rewards_site.E002"),
        ("accept_content", [], "rewards_site.E002"),
        ("timezone", "Europe/Berlin", "rewards_site.E003"),
        ("enable_utc", False, "rewards_site.E003"),
    ],
)
def test_an_unsafe_setting_is_found(name, value, expected, monkeypatch):
    monkeypatch.setitem(app.conf, name, value)

    found = celery_is_safe()

    assert [message.id for message in found] == ([expected] if expected else [])
    assert all(message.hint for message in found)


def test_production_without_a_broker_is_a_warning(settings):
    settings.BROKER_IS_PRIVATE = True

    (found,) = broker_is_suitable()

    assert found.id == "rewards_site.W001"
    assert "CELERY_BROKER_URL is not set" in found.msg


@pytest.mark.parametrize(
    ("policy", "expected"), [("noeviction", []), ("allkeys-lru", ["rewards_site.W002"])]
)
def test_a_broker_that_evicts_is_a_warning(policy, expected, tmp_path, settings, monkeypatch):
    broker = LocalBroker(tmp_path / "broker")
    settings.BROKER_IS_PRIVATE = False
    monkeypatch.setitem(app.conf, "broker_url", broker.url)

    with broker.running(), app.connection_for_read() as connection:
        connection.default_channel.client.config_set("maxmemory-policy", policy)
        found = broker_is_suitable()

    assert [message.id for message in found] == expected


def test_an_unreachable_broker_is_no_finding(tmp_path: Path, settings, monkeypatch):
    settings.BROKER_IS_PRIVATE = False
    monkeypatch.setitem(app.conf, "broker_url", LocalBroker(tmp_path).url)

    assert checks._eviction_policy() is None
    assert broker_is_suitable() == []
