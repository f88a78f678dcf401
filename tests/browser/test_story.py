"""The work of the admins, from a changed rule to the explanation for a host."""

import csv
from datetime import timedelta

from playwright.sync_api import expect

from tests.browser.conftest import TUESDAY
from tests.factories import DailyActivityFactory

TODAY = TUESDAY.date()
TOMORROW = TODAY + timedelta(days=1)


def test_a_changed_rule_takes_effect_pays_and_is_explained(page, hosts, visit, log_in, menu, clock):
    # A rule is previewed, and changed from tomorrow on.
    log_in("Rule editor", "Operator")
    menu("Rules")
    card = page.locator("section", has=page.get_by_role("heading", name="Daily login"))
    expect(card).to_contain_text("1 login a day")
    card.get_by_role("link", name="Change").click()
    page.get_by_label("Logins a day").fill("3")
    page.get_by_label("Points").fill("20")
    page.get_by_label("Why").fill("Two logins are no effort")
    page.get_by_role("button", name="7 days").click()
    preview = page.locator("#preview")
    expect(preview).to_contain_text("Would lose")
    expect(preview).to_contain_text("bea")
    page.get_by_role("button", name="Save").click()
    expect(card).to_contain_text(f"{TOMORROW}")
    expect(card).to_contain_text("1 login a day")

    # Two days pass.
    for host, logins in ((hosts.ada, 3), (hosts.bea, 2)):
        for day in (TODAY, TOMORROW):
            DailyActivityFactory(user=host, date=day, logins=logins)
    clock.now = TUESDAY + timedelta(days=2)
    page.context.clear_cookies()
    log_in("Rule editor", "Operator")
    menu("Rules")
    expect(card).to_contain_text("3 logins a day")
    expect(card).to_contain_text("for 20 points")

    # The day before the change and the first day of the change are run.
    menu("Runs")
    for day, text in (
        (TODAY, "20 points in 2 new awards"),
        (TOMORROW, "20 points in 1 new award"),
    ):
        page.get_by_label("Date").fill(f"{day}")
        page.get_by_role("button", name="Run this date").click()
        expect(page.get_by_text(f"{day}: {text}")).to_be_visible()

    # The page of Ada shows the award.
    menu("Hosts")
    page.get_by_role("searchbox").or_(page.locator("#searchbar")).first.fill("ada")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="ada", exact=True).click()
    month = page.locator("#month")
    row = month.get_by_role("row", name=f"{TOMORROW}")
    expect(row).to_contain_text("20")

    # The explanation says why Bea has none.
    visit("rewards_host_explain", hosts.bea.pk, query=f"?day={TOMORROW}")
    expect(page.get_by_text("2 logins (3 needed)")).to_be_visible()
    visit("rewards_host_explain", hosts.bea.pk, query=f"?day={TODAY}")
    expect(page.locator("#content-main")).to_contain_text("awarded")

    # All awards are exported.
    menu("Awards")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    with open(download.value.path(), newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["reference_date"], row["user_id"], row["points"]) for row in rows] == [
        (f"{TOMORROW}", "ada", "20"),
        (f"{TODAY}", "bea", "10"),
        (f"{TODAY}", "ada", "10"),
    ]


def test_one_button_runs_what_is_due(page, hosts, log_in, menu):
    log_in("Operator")
    page.get_by_role("link", name="See the runs").click()
    expect(page.get_by_text("missing").first).to_be_visible()

    page.get_by_role("button", name="Run what is due").click()

    expect(page.get_by_text("done").first).to_be_visible()
    expect(page.get_by_text("missing")).to_have_count(0)
    menu("Overview")
    expect(page.get_by_text("all is well")).to_be_visible()
    expect(page.locator("canvas")).to_have_count(2)
    menu("Leaderboard")
    expect(page.get_by_role("row").nth(1)).to_contain_text("ada")
