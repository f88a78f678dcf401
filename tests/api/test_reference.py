"""docs/api.md describes every GET and every refusal."""

import re

import pytest

from rewards.api.problems import STATUSES
from tests.processes import ROOT

PAGE = (ROOT / "docs/api.md").read_text()


@pytest.mark.django_db
def test_the_page_describes_each_get(api):
    document = api.get("/api/v1/openapi.json").json()

    described = set(re.findall(r"^### `GET (.+)`$", PAGE, re.M))

    assert described == {path for path, methods in document["paths"].items() if "get" in methods}


@pytest.mark.django_db
def test_the_page_names_the_parameters_of_each_get(api):
    paths = api.get("/api/v1/openapi.json").json()["paths"]
    for section in PAGE.split("\n### `GET ")[1:]:
        path, text = section.split("`\n", 1)
        parameters = paths[path]["get"].get("parameters", [])
        names = {part["name"] for part in parameters if part["in"] == "query"}
        assert names <= set(re.findall(r"`(\w+)`", text)), path


def test_the_page_lists_each_refusal_with_its_status():
    rows = re.findall(r"^\| (`[a-z-]+`(?:, `[a-z-]+`)*) \| ([0-9]{3}) \|", PAGE, re.M)

    listed = {slug: int(status) for slugs, status in rows for slug in re.findall("`(.+?)`", slugs)}

    assert listed == {slug: status.value for slug, status in STATUSES.items()}
