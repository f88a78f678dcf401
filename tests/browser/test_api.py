"""The pages of the API: its documentation, and the keys of its clients."""

import re

import pytest
from playwright.sync_api import expect

from rewards.api.application import api
from rewards.selectors.api_clients import key_of_text
from tests.browser.conftest import TUESDAY


def test_the_documentation_shows_every_operation(page, live_server):
    page.goto(f"{live_server.url}/api/v1/docs")

    # A blocked script or a request to another host fails in the fixture of all browser tests.
    expect(page.get_by_role("heading", name="Rewards")).to_be_visible()
    page.wait_for_load_state("networkidle")
    summaries = page.locator(".opblock-summary-control")
    assert summaries.count() == sum(map(len, api.get_openapi_schema()["paths"].values()))
    summaries.first.click()
    expect(page.get_by_role("button", name="Try it out")).to_be_visible()
    page.locator(".btn.authorize").click()
    expect(page.get_by_text("A key of the client")).to_be_visible()


@pytest.mark.usefixtures("hosts")
def test_a_superuser_adds_a_client_and_its_keys(page, log_in, menu):
    log_in()
    menu("API clients")
    page.get_by_role("link", name="Add API client").first.click()
    page.get_by_label("Name").fill("The app")
    page.get_by_label("Source").fill("app")
    page.get_by_label("Send events").check()
    page.get_by_label("Read scores, awards and runs").check()
    page.get_by_role("button", name="Save").click()

    expect(page.get_by_text("The app was added. Create its first key below.")).to_be_visible()
    page.get_by_role("button", name="Create key").click()
    expect(page.get_by_text("Copy this key now.")).to_be_visible()
    text = page.locator("#new-key").inner_text()
    assert re.fullmatch(r"rwd_[a-z2-7]{8}_[A-Za-z0-9_-]{43}", text)
    assert key_of_text(text, today=TUESDAY.date()).client.source == "app"

    page.get_by_role("link", name="I have copied it").click()
    expect(page.get_by_text("valid", exact=True)).to_be_visible()
    assert text not in page.content()
    page.get_by_role("link", name="Revoke").click()
    page.get_by_role("button", name="Revoke this key").click()

    expect(page.get_by_text("revoked", exact=True)).to_be_visible()
    assert key_of_text(text, today=TUESDAY.date()) is None
