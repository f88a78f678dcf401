"""Invalid input in each form, and the message beside the field."""

from playwright.sync_api import expect

from rewards.models import AwardRun, Host, RewardRule
from tests.browser.conftest import PASSWORD, TUESDAY

TODAY = TUESDAY.date()


def test_a_failed_log_in_does_not_say_what_was_wrong(page, hosts, visit):
    visit("login")
    page.get_by_label("Username").fill("nobody")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()

    expect(page.get_by_text("Please enter the correct username and password")).to_be_visible()


RULES = [
    ("Logins a day", "1_000", "Enter a whole number 1\u2013100, digits 0\u20139 only."),
    ("Logins a day", "\u0663", "Enter a whole number 1\u2013100, digits 0\u20139 only."),
    ("Points", "-5", "Enter a whole number 1\u20131,000,000, digits 0\u20139 only."),
    ("Points", "<script>alert(1)</script>", "Enter a whole number 1\u20131,000,000"),
    ("First day", "2026-02-30", "No such day: '2026-02-30'."),
    ("Why", "", "This field is required."),
]


def test_an_invalid_rule_is_not_saved(page, hosts, visit, log_in):
    log_in("Rule editor")

    for label, typed, message in RULES:
        visit("rewards_rewardrule_add", query="?rule_type=DAILY_LOGIN")
        page.get_by_label("Why").fill("A reason")
        page.get_by_label(label).first.fill(typed)
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text(message).first).to_be_visible()

    assert RewardRule.objects.count() == 2


def test_a_day_that_has_not_ended_is_not_run(page, hosts, visit, log_in):
    log_in("Operator")
    visit("rewards_awardrun_journal")

    page.get_by_label("Date").fill(f"{TODAY}")
    page.get_by_role("button", name="Run this date").click()

    expect(page.get_by_text(f"The day {TODAY} has not ended in UTC")).to_be_visible()
    assert not AwardRun.objects.exists()


def test_a_week_is_named_by_its_monday(page, hosts, visit, log_in):
    log_in("Operator")
    visit("rewards_awardrun_journal")

    page.get_by_label("What").select_option("weekly")
    page.get_by_label("Date").fill("2026-11-11")
    page.get_by_role("button", name="Run this date").click()

    expect(page.get_by_text("2026-11-11 is not a Monday; did you mean 2026-11-09?")).to_be_visible()


def test_a_reversed_range_of_the_leaderboard_is_refused(page, hosts, visit, log_in):
    log_in("Viewer")
    visit("rewards_score_leaderboard")

    page.get_by_label("From").fill("2026-11-22")
    page.get_by_label("To").fill("2026-11-16")
    page.get_by_role("button", name="Show these days").click()

    expect(page.get_by_text("2026-11-22 is after 2026-11-16")).to_be_visible()


def test_a_host_needs_a_valid_external_id(page, hosts, visit, log_in):
    log_in("Operator")
    visit("rewards_host_add")

    for external_id, message in [
        ("", "This field is required."),
        ("two words", "Use 1 to 128 visible ASCII characters."),
        ("h\u00e4user", "Use 1 to 128 visible ASCII characters."),
    ]:
        page.get_by_label("External id").fill(external_id)
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text(message)).to_be_visible()

    assert Host.objects.count() == 2


def test_the_last_day_of_a_host_is_a_date(page, hosts, visit, log_in):
    log_in("Operator")
    visit("rewards_host_change", hosts.ada.pk)

    page.get_by_label("Last day").fill("soon")
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_text("Not a date of the form YYYY-MM-DD: 'soon'.")).to_be_visible()


def test_a_day_to_explain_is_a_date(page, hosts, visit, log_in):
    log_in("Viewer")
    visit("rewards_host_explain", hosts.bea.pk)

    page.get_by_label("Another day").fill("yesterday")
    page.get_by_role("button", name="Explain").click()

    expect(page.get_by_role("alert")).to_contain_text("yesterday")


def test_an_unknown_host_is_named(page, hosts, visit, log_in):
    log_in("Viewer")
    visit("rewards_scorehistory_changelist")

    page.locator("#searchbar").fill("nobody")
    page.keyboard.press("Enter")

    expect(page.get_by_text("No host has the external id \u201cnobody\u201d.")).to_be_visible()


def test_a_weak_password_is_refused(page, hosts, visit, log_in):
    log_in()
    visit("rewards_user_add")

    page.get_by_label("Username").fill("newcomer")
    page.locator("[name=password1]").fill("12345678")
    page.locator("[name=password2]").fill("12345678")
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_text("It must contain at least 12 characters")).to_be_visible()
