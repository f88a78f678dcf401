import json

import pytest
from django.test import Client

from tests.factories import ApiKeyFactory, key_text


def problem_of(response, status, slug):
    """Return the problem of a response, after checks of what every problem has."""
    assert response.status_code == status, response.content
    assert response.headers["Content-Type"] == "application/problem+json"
    found = json.loads(response.content)
    assert set(found) == {"type", "title", "status", "detail", "errors"}
    assert found["type"] == f"urn:rewards:problem:{slug}"
    assert found["status"] == status
    assert found["detail"][0].isupper()
    assert found["detail"].endswith(".")
    assert "Traceback" not in response.content.decode()
    return found


@pytest.fixture
def key(db):
    return ApiKeyFactory()


@pytest.fixture
def api(key):
    """A client of the API whose key allows everything."""
    return Client(
        raise_request_exception=False, headers={"authorization": f"Bearer {key_text(key)}"}
    )
