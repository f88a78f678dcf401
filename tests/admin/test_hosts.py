"""The page of a host, the explanation of its days, and how a host is found."""

import re
from datetime import UTC, date, datetime, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from rewards.choices import RuleType, RunTrigger
from tests.awards import award_daily, award_weekly
from tests.factories import (
    A_MONDAY,
    DailyActivityFactory,
    HostFactory,
    RewardRuleFactory,
    ScoreFactory,
    ScoreHistoryFactory,
)

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
TODAY = NOW.date()
LIST = "admin:rewards_host_changelist"


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    monkeypatch.setattr(timezone, "now", lambda: NOW)


@pytest.fixture
def viewer(login):
    return login("Viewer")


@pytest.fixture
def alice(db):
    return HostFactory(external_id="alice")


def host_page(host):
    return reverse("admin:rewards_host_change", args=[host.pk])


def explanation(host, day=None):
    address = reverse("admin:rewards_host_explain", args=[host.pk])
    return address if day is None else f"{address}?day={day}"


def words(answer):
    return " ".join(re.sub(r"<[^>]*>", " ", answer.content.decode()).split())


def cells(page):
    return {
        cell.label: (cell.level, cell.href)
        for row in page.context["calendar"]["rows"]
        for cell in row["cells"]
        if cell.href
    }


def test_the_scores_are_shown_with_their_periods(client, viewer, alice):
    ScoreFactory(user=alice, lifetime=1_234, weekly=200, daily=30)

    page = client.get(host_page(alice))

    assert "Lifetime 1,234 all awards" in words(page)
    assert "Weekly 200 week of 2026-11-16" in words(page)
    assert "Daily 30 Monday, 2026-11-16" in words(page)


def test_the_calendar_has_twelve_weeks_each_day_leading_to_its_explanation(client, viewer, alice):
    RewardRuleFactory(threshold=2)
    RewardRuleFactory(rule_type=RuleType.WEEKLY_CONSISTENCY, threshold=2, points=100)
    DailyActivityFactory(user=alice, date=A_MONDAY, logins=2)
    DailyActivityFactory(user=alice, date=A_MONDAY + timedelta(days=1), logins=1)
    award_daily(day=A_MONDAY, now=NOW, trigger=RunTrigger.COMMAND)
    award_weekly(monday=A_MONDAY, now=NOW, trigger=RunTrigger.COMMAND)

    shown = cells(client.get(host_page(alice)))

    assert shown["Mon 2026-11-16: 10 points"] == ("awarded", explanation(alice, A_MONDAY))
    assert shown["Tue 2026-11-17: active, no award"][0] == "active"
    assert shown["Wed 2026-11-18: not active"][0] == "idle"
    assert shown["week of 2026-11-16, 2 active days: 100 points"][0] == "awarded"
    # Eleven weeks, Monday and Tuesday of this one, and the twelve weeks as such.
    assert len(shown) == 11 * 7 + 2 + 12
    assert min(label for label in shown if label.startswith("Mon")) == (
        "Mon 2026-09-07: not active"
    )


def test_a_month_is_shown_day_by_day_with_what_was_done_and_paid(client, viewer, alice):
    rule = RewardRuleFactory(rule_type=RuleType.DAILY_AUDIO_CALL_TARGET, threshold=4, points=50)
    DailyActivityFactory(user=alice, date=A_MONDAY, logins=2, audio_calls=5)
    ScoreHistoryFactory(user=alice, rule=rule, measured=5)
    DailyActivityFactory(user=alice, date=date(2026, 10, 31))

    november = client.get(host_page(alice))
    october = client.get(host_page(alice), {"month": "2026-10"})

    month = november.context["month"]
    assert (month["title"], month["summary"]) == ("November 2026", "1 active day, 50 points")
    assert (month["earlier"], month["later"]) == ("2026-10", "")
    assert "Mon 2026-11-16 50 2 5 0 5 of 4 audio calls" in words(november)
    month = october.context["month"]
    assert (month["title"], month["summary"]) == ("October 2026", "1 active day, 0 points")
    assert month["later"] == "2026-11"


@pytest.mark.parametrize("month", ["", "nonsense", "2026-13", "2027-01", "1999-12", "2026-11-16"])
def test_a_month_that_cannot_be_shown_is_the_one_at_hand(client, viewer, alice, month):
    page = client.get(host_page(alice), {"month": month})

    assert page.context["month"]["title"] == "November 2026"


def test_the_first_month_of_the_ledger_has_none_before_it(client, viewer, alice):
    page = client.get(host_page(alice), {"month": "2000-01"})

    assert page.context["month"]["earlier"] == ""


def test_a_day_is_explained_rule_by_rule(client, viewer, alice):
    rule = RewardRuleFactory(threshold=2, points=30)
    RewardRuleFactory(rule_type=RuleType.DAILY_AUDIO_CALL_TARGET, threshold=5)
    DailyActivityFactory(user=alice, logins=3, audio_calls=4, audio_seconds=240)
    award_daily(day=A_MONDAY, now=NOW, trigger=RunTrigger.COMMAND)

    page = client.get(explanation(alice, A_MONDAY))

    outcomes = [(card.outcome, card.sentence) for card in page.context["cards"]]
    assert outcomes[:2] == [
        ("awarded", "3 logins (2 needed): paid 30 points."),
        ("not earned", "4 completed audio calls (5 needed)."),
    ]
    award = alice.awards.get()
    assert "Monday, 2026-11-16" in words(page)
    assert "3 logins and completed calls: 4 audio calls (4 min 00 s)." in words(page)
    for view, target in (
        ("rewardrule", rule.pk),
        ("scorehistory", award.pk),
        ("awardrun", award.run_id),
    ):
        assert reverse(f"admin:rewards_{view}_change", args=[target]) in page.content.decode()


def test_a_day_without_activity_and_without_rules_is_explained_too(client, viewer, alice):
    page = client.get(explanation(alice))

    assert "Monday, 2026-11-23" in words(page)  # the last day that has ended
    assert "Nothing that counts on this day." in words(page)
    assert {card.outcome for card in page.context["cards"]} == {"no version yet"}


@pytest.mark.parametrize(
    ("day", "message"),
    [
        ("", "The date is empty; use YYYY-MM-DD."),
        ("2026-2-3", "Not a date of the form YYYY-MM-DD: &#x27;2026-2-3&#x27;."),
        ("2026-02-30", "No such day: &#x27;2026-02-30&#x27;."),
        ("1999-12-31", "1999-12-31 is before the ledger&#x27;s start 2000-01-01."),
        ("2100-01-01", "Year must be 2000-2099: &#x27;2100-01-01&#x27;."),
        ("<script>", "Not a date of the form YYYY-MM-DD: &#x27;&lt;script&gt;&#x27;."),
    ],
)
def test_a_day_that_is_none_is_refused_beside_the_field(client, viewer, alice, day, message):
    page = client.get(reverse("admin:rewards_host_explain", args=[alice.pk]), {"day": day})

    assert message in page.content.decode()
    assert "cards" not in page.context


@pytest.mark.parametrize("day", ["2000-01-01", "2099-12-31"])
def test_the_days_at_the_ends_of_time_have_no_neighbour_beyond(client, viewer, alice, day):
    page = client.get(explanation(alice, day))

    neighbours = [page.context["earlier"], page.context["later"]]
    assert neighbours.count("") == 1


def test_only_hosts_are_explained(client, login):
    person = login("Viewer")

    assert client.get(explanation(person)).status_code == 404
    assert client.get(reverse("admin:rewards_host_explain", args=[0])).status_code == 404


def test_a_host_is_found_at_once_by_its_external_id(client, viewer, alice):
    HostFactory(external_id="alice-2")

    assert client.get(reverse(LIST), {"q": " alice "}).url == host_page(alice)


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("al", ["al-1", "al-2", "bo-3"]),  # an external id as it is written, a name in any case
        ("AL", ["bo-3"]),
        ("smith", ["al-1"]),
        ("anna smith", ["al-1"]),
        ("anna jones", []),
        ("mith", []),
        ("%", []),
    ],
)
def test_a_host_is_found_by_how_its_id_or_name_begins(client, viewer, search, found):
    HostFactory(external_id="al-1", first_name="Anna", last_name="Smith")
    HostFactory(external_id="al-2")
    HostFactory(external_id="bo-3", first_name="Alan")

    page = client.get(reverse(LIST), {"q": search})

    assert [host.external_id for host in page.context["cl"].result_list] == found


def test_a_search_by_name_is_served_by_the_indexes(db):
    query = """
        EXPLAIN SELECT id FROM rewards_user
        WHERE is_host AND (
            (NOT (first_name = '') AND UPPER(first_name::text) LIKE UPPER('an%'))
            OR (NOT (last_name = '') AND UPPER(last_name::text) LIKE UPPER('an%'))
        )
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(query)
        plan = " ".join(line for (line,) in cursor)

    assert "rewards_user_by_first_name" in plan
    assert "rewards_user_by_last_name" in plan


def test_what_changed_of_a_host_is_in_the_log_with_both_values(client, login, alice):
    login("Operator")

    client.post(host_page(alice), {"first_name": "Alice", "last_name": "", "left_on": "2026-11-30"})
    client.post(host_page(alice), {"first_name": "Alice", "left_on": "2026-12-01"})
    client.post(host_page(alice), {"first_name": "Alice", "left_on": "2026-12-01"})

    log = LogEntry.objects.order_by("pk").values_list("change_message", flat=True)
    assert list(log) == [
        "First name: was none, now Alice; Last day: was none, now 2026-11-30.",
        "Last day: was 2026-11-30, now 2026-12-01.",
        "Nothing changed.",
    ]


def test_a_host_is_deactivated_from_its_page(client, login, alice):
    login("Operator")

    client.post(host_page(alice), {"left_on": "", "_deactivate": "1"})

    alice.refresh_from_db()
    assert alice.left_on == TODAY
    assert LogEntry.objects.get().change_message == "Last day: was none, now 2026-11-24."


@pytest.mark.parametrize("page", ["host", "explanation"])
def test_a_page_of_a_host_takes_the_same_queries_however_much_there_is(client, viewer, alice, page):
    address = {"host": host_page, "explanation": lambda host: explanation(host, A_MONDAY)}[page]
    RewardRuleFactory()
    client.get(address(alice))  # what a session reads once
    counts = []
    for days in (1, 40):
        for offset in range(days):
            day = TODAY - timedelta(days=offset + days)
            DailyActivityFactory(user=alice, date=day)
            DailyActivityFactory(date=day)
        award_daily(day=A_MONDAY, now=NOW, trigger=RunTrigger.COMMAND)
        with CaptureQueriesContext(connection) as queries:
            client.get(address(alice))
        counts.append(len(queries))

    assert counts[0] == counts[1]
