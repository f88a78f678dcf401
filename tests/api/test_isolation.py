"""Every endpoint, those to come included, refuses every key but one that allows it."""

import re
from datetime import timedelta

import pytest
from django.apps import apps
from django.test import Client
from django.utils import timezone

from rewards.api.application import api as application
from rewards.choices import ApiScope
from tests.api.conftest import problem_of
from tests.factories import SECRET, ApiClientFactory, ApiKeyFactory, HostFactory, key_text

pytestmark = pytest.mark.django_db

OPERATIONS = [
    (method.upper(), path, operation["security"][0]["key"][0])
    for path, item in application.get_openapi_schema(path_prefix="api/v1/")["paths"].items()
    for method, operation in item.items()
]
"""Method, path and scope of each operation of the API."""

every_operation = pytest.mark.parametrize(
    ("method", "path", "scope"), OPERATIONS, ids=lambda value: str(value)
)


@pytest.fixture
def host():
    return HostFactory(external_id="host-1")


def call(method, path, header):
    address = re.sub(r"{(\w+)}", lambda name: "host-1" if "user" in name[1] else "1", path)
    client = Client(raise_request_exception=False)
    headers = {"authorization": header} if header else {}
    return client.generic(method, address, b"{}", "application/json", headers=headers)


def invalid_headers():
    key = ApiKeyFactory()
    yesterday = timezone.now().date() - timedelta(days=2)
    return {
        "no key": "",
        "another scheme": f"Basic {key_text(key)}",
        "unknown": f"Bearer rwd_zzzzzzzz_{SECRET}",
        "wrong": f"Bearer rwd_{key.prefix}_{'t' * 43}",
        "revoked": f"Bearer {key_text(ApiKeyFactory(revoked_at=timezone.now()))}",
        "expired": f"Bearer {key_text(ApiKeyFactory(expires_on=yesterday))}",
        "inactive": f"Bearer {key_text(ApiKeyFactory(client=ApiClientFactory(is_active=False)))}",
    }


def rows():
    models = apps.get_app_config("rewards").get_models()
    return {model.__name__: model._default_manager.count() for model in models}


def test_there_are_operations():
    assert len(OPERATIONS) >= 6


@every_operation
def test_no_endpoint_takes_an_invalid_key(method, path, scope, host):
    headers = invalid_headers()
    before = rows()

    answers = {name: call(method, path, header) for name, header in headers.items()}

    for response in answers.values():
        problem_of(response, 401, "unauthorized")
        assert "WWW-Authenticate" in response.headers
    assert len({response.content for response in answers.values()}) == 1
    assert rows() == before


@every_operation
def test_no_endpoint_takes_a_key_of_other_scopes(method, path, scope, host):
    others = [other for other in ApiScope.values if other != scope]
    key = ApiKeyFactory(client=ApiClientFactory(scopes=others))
    before = rows()

    found = problem_of(call(method, path, f"Bearer {key_text(key)}"), 403, "forbidden")

    assert found["detail"] == f"The key does not allow {scope}."
    assert rows() == before


@every_operation
def test_each_endpoint_takes_a_key_of_its_scope_alone(method, path, scope, host):
    key = ApiKeyFactory(client=ApiClientFactory(scopes=[scope]))

    response = call(method, path, f"Bearer {key_text(key)}")

    assert response.status_code not in {401, 403, 405, 500}
    if response.status_code >= 400:
        assert response.headers["Content-Type"] == "application/problem+json"


@every_operation
def test_an_unknown_method_of_each_address_is_refused(method, path, scope, host):
    response = call("TRACE", path, f"Bearer {key_text(ApiKeyFactory())}")

    problem_of(response, 405, "method-not-allowed")
    assert method in response.headers["Allow"]


def test_only_the_documentation_needs_no_key():
    routes = {str(pattern.pattern) for pattern in application.urls[0]}
    with_a_key = {
        re.sub(r"{(\w+)}", r"<\1>", path.removeprefix("/api/v1/")) for _, path, _ in OPERATIONS
    }

    assert {re.sub(r"<\w+:", "<", route) for route in routes} - with_a_key == {
        "", "docs", "openapi.json"
    }  # fmt: skip
