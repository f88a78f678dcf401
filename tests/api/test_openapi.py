"""The OpenAPI document and its page."""

import json
import re

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from rewards.api.application import api
from rewards.choices import ApiScope

METHODS = {"get", "put", "post", "delete", "patch"}


def document():
    return Client().get("/api/v1/openapi.json").json()


def operations():
    """Return (method, path, operation) of each operation."""
    found = [
        (method, path, operation)
        for path, item in document()["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]
    assert found
    return found


def test_the_version_of_the_document_is_3_1():
    assert document()["openapi"] == "3.1.0"


def test_the_document_is_public_and_written_once():
    assert Client().get("/api/v1/openapi.json").status_code == 200
    assert api.get_openapi_schema() is api.get_openapi_schema()


def test_every_operation_names_its_scope_and_its_problems():
    for method, path, operation in operations():
        ((scope,),) = (required["key"] for required in operation["security"])
        assert scope in ApiScope.values
        refusals = {status for status in operation["responses"] if int(status) >= 400}
        assert refusals >= {"401", "403", "429", "500", "503"}, (method, path)
        if "requestBody" in operation:
            assert refusals >= {"400", "411", "413", "415", "422"}, (method, path)
        if "{" in path:
            assert "404" in refusals


def test_every_scope_that_is_offered_is_needed_somewhere():
    needed = {scope for *_, operation in operations() for scope in operation["security"][0]["key"]}

    assert needed == set(ApiScope.values)


def test_every_refusal_is_documented_as_a_problem():
    for method, path, operation in operations():
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert set(response["content"]) == {"application/problem+json"}, (method, path)


def test_every_reference_of_the_document_leads_somewhere():
    found = document()
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(found))):
        value = found
        for key in reference.split("/"):
            value = value[key]


def test_operation_ids_differ():
    ids = [operation["operationId"] for _, _, operation in operations()]

    assert len(set(ids)) == len(ids)


def test_the_page_needs_no_inline_script_and_no_network():
    response = Client().get("/api/v1/docs")
    page = response.content.decode()

    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", page, re.S)
    assert scripts
    for attributes, text in scripts:
        assert 'type="application/json"' in attributes or not text.strip()
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert links
    for link in links:
        assert link.startswith("/static/")
        assert finders.find(link.removeprefix("/static/")), link
    assert "style=" not in page
    assert "'self'" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("address", ["/api/v1/docs", "/api/v1/openapi.json"])
def test_the_pages_carry_the_policy_without_middleware(address, settings):
    settings.MIDDLEWARE = []

    policy = Client().get(address).headers["Content-Security-Policy"]

    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert "frame-ancestors 'none'" in policy
