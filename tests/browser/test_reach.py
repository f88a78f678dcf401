"""Every page on a phone, in dark and light mode, and by keyboard."""

import pytest
from playwright.sync_api import expect

from rewards.models import AwardRun, RewardRule, ScoreHistory
from rewards.services.due import award_due
from tests.browser.conftest import PASSWORD, TUESDAY
from tests.factories import ApiKeyFactory, StaffFactory

PAGES = [
    "index",
    "rewards_rewardrule_changelist",
    "rewards_rewardrule_add",
    "rewards_rewardrule_change",
    "rewards_host_changelist",
    "rewards_host_add",
    "rewards_host_change",
    "rewards_host_explain",
    "rewards_awardrun_journal",
    "rewards_awardrun_changelist",
    "rewards_awardrun_change",
    "rewards_scorehistory_changelist",
    "rewards_scorehistory_change",
    "rewards_score_leaderboard",
    "rewards_score_changelist",
    "rewards_dailyactivity_changelist",
    "rewards_activityevent_changelist",
    "rewards_apiclient_changelist",
    "rewards_apiclient_add",
    "rewards_apiclient_change",
    "rewards_user_changelist",
    "rewards_user_add",
    "auth_group_changelist",
    "rewards_schedule_changelist",
    "password_change",
]


@pytest.fixture
def open_page(hosts, visit):
    """Award everything; return a function that opens a page by its name."""
    award_due(now=TUESDAY, trigger="command")
    objects = {
        "rewardrule": RewardRule.objects.first(),
        "host": hosts.ada,
        "awardrun": AwardRun.objects.first(),
        "apiclient": ApiKeyFactory().client,
        "scorehistory": ScoreHistory.objects.first(),
    }

    def open_page(name):
        model, action = ["", *name.split("_")][-2:]
        has_object = action in {"change", "explain"} and model in objects
        visit(name, *([objects[model].pk] if has_object else []))

    return open_page


def test_no_page_scrolls_sideways_on_a_phone(page, open_page, log_in):
    page.set_viewport_size({"width": 390, "height": 844})
    log_in()
    too_wide = {}

    for name in PAGES:
        open_page(name)
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 390:
            too_wide[name] = width

    assert too_wide == {}


def test_the_menu_opens_on_a_phone(page, open_page, log_in):
    page.set_viewport_size({"width": 390, "height": 844})
    log_in()
    menu = page.locator("#nav-sidebar-apps")
    expect(menu).not_to_be_in_viewport()

    page.locator("#main").get_by_role("button", name="Menu").click()
    menu.get_by_text("Leaderboard", exact=True).click()

    page.wait_for_url("**/leaderboard/")


@pytest.fixture
def browser_context_args(browser_context_args, request):
    return browser_context_args | getattr(request, "param", {})


def brightness(page):
    """Return the brightness of the page's background, up to 255."""
    return page.evaluate(
        """() => {
            const canvas = document.createElement("canvas").getContext("2d");
            canvas.fillStyle = getComputedStyle(document.body).backgroundColor;
            canvas.fillRect(0, 0, 1, 1);
            return Math.max(...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3));
        }"""
    )


@pytest.mark.parametrize(
    ("browser_context_args", "is_dark"),
    [({"color_scheme": "dark"}, True), ({"color_scheme": "light"}, False)],
    indirect=["browser_context_args"],
)
def test_pages_follow_the_color_scheme(page, open_page, log_in, is_dark):
    log_in()

    for name in ["index", "rewards_rewardrule_changelist", "rewards_awardrun_journal"]:
        open_page(name)
        assert (brightness(page) < 64) == is_dark, name


def focused(page):
    """Return the name of the focused element; empty when only the page has the focus."""
    return page.evaluate(
        """() => {
            const element = document.activeElement;
            const label = element.getAttribute("aria-label");
            const name = label || element.innerText || element.name || "";
            return element === document.body ? "" : name;
        }"""
    )


@pytest.fixture
def tab_to(page):
    """Return a function that presses the tab key until an element of a name has the focus."""

    def tab_to(name):
        passed = []
        for _ in range(120):
            page.keyboard.press("Tab")
            passed.append(focused(page))
            if name in passed[-1]:
                return
        raise AssertionError(f"{name} is not reached, only {passed}")

    return tab_to


def test_a_rule_is_changed_and_a_date_run_by_keyboard(page, hosts, visit, tab_to):
    person = StaffFactory(is_superuser=True)
    visit("login")
    press, write = page.keyboard.press, page.keyboard.type

    tab_to("username")
    write(person.username)
    tab_to("password")
    write(PASSWORD)
    press("Enter")
    page.wait_for_url("**/admin/")

    tab_to("Rules")
    press("Enter")
    page.wait_for_url("**/rewardrule/")
    tab_to("Change")
    press("Enter")
    page.wait_for_url("**/rewardrule/add/**")
    tab_to("points")
    press("Control+a")
    write("15")
    tab_to("reason")
    write("By keyboard")
    tab_to("Save")
    press("Enter")
    expect(page.get_by_text("15 points").first).to_be_visible()

    tab_to("Runs")
    press("Enter")
    page.wait_for_url("**/journal/")
    tab_to("Run what is due")
    press("Enter")
    expect(page.get_by_text("new award").first).to_be_visible()
    assert RewardRule.objects.filter(points=15).exists()


def test_filters_and_log_out_are_reached_by_keyboard(page, hosts, visit, log_in, tab_to):
    person = log_in("Viewer")
    visit("rewards_scorehistory_changelist")
    press = page.keyboard.press

    tab_to("Filters")
    press("Enter")
    expect(page.locator("#changelist-filter")).to_be_visible()
    press("Escape")
    expect(page.locator("#changelist-filter")).to_be_hidden()

    tab_to(person.username)
    press("Enter")
    expect(page.get_by_role("button", name="Log out")).to_be_visible()


def test_the_focused_element_is_visible(page, hosts, log_in, tab_to):
    log_in()

    tab_to("Rules")

    outline = page.evaluate(
        "(() => { const s = getComputedStyle(document.activeElement);"
        "return s.outlineStyle + s.outlineWidth + s.boxShadow })()"
    )
    assert outline != "none0pxnone"
