"""A client's own limit, in the broker: refused above it, and never without the broker."""

import socket
import time
from contextlib import closing

import pytest
from django.test import Client

from localservers.broker import LocalBroker
from rewards.api import rate_limit
from tests.api.conftest import problem_of
from tests.factories import ApiClientFactory, ApiKeyFactory, key_text

pytestmark = [pytest.mark.urls("tests.api.frame"), pytest.mark.django_db]


@pytest.fixture(autouse=True)
def counting(monkeypatch):
    monkeypatch.setattr(rate_limit, "_resume_at", 0.0)
    rate_limit._broker.cache_clear()


@pytest.fixture
def broker(tmp_path, settings):
    broker = LocalBroker(tmp_path / "broker")
    settings.CELERY_BROKER_URL = broker.url
    with broker.running():
        yield broker


def ask(key):
    return Client().get("/api/v1/own", headers={"authorization": f"Bearer {key_text(key)}"})


def statuses(key, number):
    return [ask(key).status_code for _ in range(number)]


@pytest.fixture
def long_window(monkeypatch):
    """A window that no slow machine leaves before its test ends."""
    monkeypatch.setattr(rate_limit, "WINDOW_SECONDS", 600)


@pytest.mark.usefixtures("broker", "long_window")
def test_more_requests_than_the_limit_are_refused():
    key = ApiKeyFactory(client=ApiClientFactory(requests_per_second=3))

    assert statuses(key, 3) == [200, 200, 200]
    response = ask(key)

    found = problem_of(response, 429, "too-many-requests")
    assert found["detail"] == "More than 3 requests in a second."
    assert response.headers["Retry-After"] == "600"


@pytest.mark.usefixtures("broker")
def test_the_next_second_begins_at_zero():
    key = ApiKeyFactory(client=ApiClientFactory(requests_per_second=1))
    statuses(key, 2)

    time.sleep(1.1)

    assert ask(key).status_code == 200


@pytest.mark.usefixtures("broker", "long_window")
def test_each_client_has_its_own_limit():
    first, other = (ApiKeyFactory(client=ApiClientFactory(requests_per_second=1)) for _ in range(2))
    second = ApiKeyFactory(client=first.client)

    assert [ask(key).status_code for key in (first, second, other)] == [200, 429, 200]


@pytest.mark.usefixtures("broker", "long_window")
def test_a_client_without_a_limit_is_not_counted(broker):
    assert statuses(ApiKeyFactory(), 5) == [200] * 5
    assert rate_limit._broker(broker.url).keys() == []


@pytest.mark.usefixtures("broker", "long_window")
def test_a_count_is_forgotten_with_its_window(broker):
    statuses(ApiKeyFactory(client=ApiClientFactory(requests_per_second=5)), 3)

    (name,) = rate_limit._broker(broker.url).keys()
    assert 0 < rate_limit._broker(broker.url).ttl(name) <= 600


def test_without_a_broker_every_request_is_served(tmp_path, settings, caplog):
    settings.CELERY_BROKER_URL = LocalBroker(tmp_path).url
    key = ApiKeyFactory(client=ApiClientFactory(requests_per_second=1))

    assert statuses(key, 5) == [200] * 5
    (record,) = caplog.records  # not one for each request
    assert record.getMessage().startswith("Requests are not counted: the broker does not answer")


@pytest.mark.usefixtures("broker", "long_window")
def test_requests_are_counted_again_once_the_broker_answers(tmp_path, settings, monkeypatch):
    key = ApiKeyFactory(client=ApiClientFactory(requests_per_second=1))
    url = settings.CELERY_BROKER_URL
    settings.CELERY_BROKER_URL = LocalBroker(tmp_path / "none").url
    statuses(key, 3)
    settings.CELERY_BROKER_URL = url

    during_the_pause = statuses(key, 3)
    monkeypatch.setattr(time, "monotonic", lambda: rate_limit._resume_at + 1)

    assert during_the_pause == [200] * 3
    assert statuses(key, 2) == [200, 429]


def test_a_broker_that_is_silent_costs_one_short_wait(settings):
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        key = ApiKeyFactory(client=ApiClientFactory(requests_per_second=1))
        started = time.monotonic()

        assert statuses(key, 10) == [200] * 10

    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("written", "read"), [("CERT_NONE", "none"), ("CERT_REQUIRED", "required"), ("none", "none")]
)
def test_the_checks_of_tls_are_those_of_celery(written, read):
    broker = rate_limit._broker(f"rediss://broker.example/0?ssl_cert_reqs={written}")

    assert broker.connection_pool.connection_kwargs["ssl_cert_reqs"] == read


@pytest.mark.parametrize(
    ("url", "number"),
    [
        ("redis+socket:///run/valkey/socket", 0),
        ("redis+socket:///run/valkey/socket?virtual_host=3", 3),
        ("redis://:pass%23word@broker.example:6380/2", 2),
        ("rediss://broker.example/1", 1),
    ],
)
def test_every_address_that_celery_takes_is_read(url, number):
    options = rate_limit._broker(url).connection_pool.connection_kwargs

    assert int(options.get("db", 0)) == number
    if "broker.example" in url:
        assert options["host"] == "broker.example"
    else:
        assert options["path"] == "/run/valkey/socket"
