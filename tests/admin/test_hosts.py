"""The page of a host, the explanation of its days, its form, and the search for hosts."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from rewards.choices import RuleType, RunTrigger
from rewards.models import Host
from tests.admin.conftest import fields, messages, words
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


def test_the_calendar_links_twelve_weeks_to_explanations(client, viewer, alice):
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


def test_a_month_shows_activity_and_awards_of_each_day(client, viewer, alice):
    rule = RewardRuleFactory(rule_type=RuleType.DAILY_AUDIO_CALL_TARGET, threshold=4, points=50)
    DailyActivityFactory(user=alice, date=A_MONDAY, logins=2, audio_calls=5)
    ScoreHistoryFactory(user=alice, rule=rule, measured=5)
    DailyActivityFactory(user=alice, date=date(2026, 10, 31))

    november = client.get(host_page(alice))
    october = client.get(host_page(alice), {"month": "2026-10"})

    month = november.context["month"]
    assert (month["title"], month["summary"]) == ("November 2026", "1 active day, 50 points")
    assert (month["earlier"], month["later"]) == ("2026-10", "")
    assert "Mon 2026-11-16 50 2 5 0 5 audio calls (4 needed)" in words(november)
    month = october.context["month"]
    assert (month["title"], month["summary"]) == ("October 2026", "1 active day, 0 points")
    assert month["later"] == "2026-11"


@pytest.mark.parametrize("month", ["", "nonsense", "2026-13", "2027-01", "1999-12", "2026-11-16"])
def test_a_month_that_cannot_be_shown_is_this_month(client, viewer, alice, month):
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


def test_a_day_without_activity_or_rules_is_explained(client, viewer, alice):
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
def test_an_invalid_day_is_refused_beside_the_field(client, viewer, alice, day, message):
    page = client.get(reverse("admin:rewards_host_explain", args=[alice.pk]), {"day": day})

    assert message in page.content.decode()
    assert "cards" not in page.context


@pytest.mark.parametrize("day", ["2000-01-01", "2099-12-31"])
def test_the_first_and_the_last_day_have_one_neighbour(client, viewer, alice, day):
    page = client.get(explanation(alice, day))

    neighbours = [page.context["earlier"], page.context["later"]]
    assert neighbours.count("") == 1


def test_only_hosts_are_explained(client, login):
    person = login("Viewer")

    assert client.get(explanation(person)).status_code == 404
    assert client.get(reverse("admin:rewards_host_explain", args=[0])).status_code == 404


def test_a_whole_external_id_leads_to_the_host(client, viewer, alice):
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
def test_a_host_is_found_by_the_prefix_of_its_id_or_name(client, viewer, search, found):
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


def save(client, host, **changes):
    """Change fields of a host on its page, as it is now, and save."""
    return client.post(host_page(host), fields(client.get(host_page(host))) | changes, follow=True)


def log():
    return list(LogEntry.objects.order_by("pk").values_list("change_message", flat=True))


def test_a_new_host_is_added_and_logged(client, login):
    login("Operator")

    page = client.post(
        reverse("admin:rewards_host_add"), {"external_id": "ada", "first_name": "Ada"}, follow=True
    )

    host = Host.objects.get(external_id="ada")
    assert page.redirect_chain == [(host_page(host), 302)]
    assert (host.first_name, host.username) == ("Ada", "host:ada")
    assert log() == ["Added as host:ada."]


@pytest.mark.parametrize(
    ("external_id", "message"),
    [
        ("", "This field is required."),
        ("two words", "Use 1 to 128 visible ASCII characters."),
        ("alice", "Another user has this external id."),
    ],
)
def test_an_invalid_external_id_is_refused_beside_the_field(
    client, login, alice, external_id, message
):
    login("Operator")

    page = client.post(reverse("admin:rewards_host_add"), {"external_id": external_id})

    assert page.context["form"].errors["external_id"][0].startswith(message)
    assert list(Host.objects.all()) == [alice]
    assert log() == []


def test_the_log_has_both_values_of_a_change(client, login, alice):
    login("Operator")

    page = save(client, alice, first_name="Alice", left_on="2026-11-30")
    save(client, alice, left_on="2026-12-01")
    save(client, alice, left_on="")
    save(client, alice)

    assert log() == [
        "First name: was none, now Alice; Last day: was none, now 2026-11-30.",
        "Last day: was 2026-11-30, now 2026-12-01.",
        "Last day: was 2026-12-01, now none.",
        "Nothing changed.",
    ]
    assert messages(page) == [f"alice: {log()[0]}"]


def test_an_invalid_last_day_is_refused_beside_the_field(client, login, alice):
    login("Operator")

    page = save(client, alice, left_on="soon")

    message = "Not a date of the form YYYY-MM-DD: 'soon'."
    assert page.context["form"].errors == {"left_on": [message]}
    assert "The last 12 weeks" in words(page)
    assert log() == []


def test_two_people_do_not_undo_each_others_changes(client, login, alice):
    ann = login("Operator")
    anns = fields(client.get(host_page(alice)))
    bobs = fields(client.get(host_page(alice)))
    client.post(host_page(alice), anns | {"left_on": "2026-11-30"})
    LogEntry.objects.update(action_time=NOW)
    login("Operator")

    page = client.post(host_page(alice), bobs | {"first_name": "Alice"})

    alice.refresh_from_db()
    assert (alice.first_name, str(alice.left_on)) == ("", "2026-11-30")
    assert page.context["form"].non_field_errors() == [
        f"alice has changed since you opened this page (last entry in the log: {ann}, "
        "2026-11-24 03:00:00 UTC); reload it and make your change again."
    ]
    assert log() == ["Last day: was none, now 2026-11-30."]
    assert fields(page)["version_token"] == bobs["version_token"]  # refused until it is reloaded
    save(client, alice, first_name="Alice")
    alice.refresh_from_db()
    assert (alice.first_name, str(alice.left_on)) == ("Alice", "2026-11-30")


def test_a_form_without_its_version_token_is_refused(client, login, alice):
    login("Operator")

    page = client.post(host_page(alice), {"first_name": "Alice"})

    assert "(last entry in the log: none)" in page.context["form"].non_field_errors()[0]
    alice.refresh_from_db()
    assert alice.first_name == ""


def test_a_host_is_deactivated_on_its_page(client, login, alice):
    login("Operator")

    save(client, alice, _deactivate="1")

    alice.refresh_from_db()
    assert alice.left_on == TODAY
    assert log() == ["Last day: was none, now 2026-11-24."]


def test_deactivation_on_the_page_keeps_an_earlier_last_day(client, login, alice):
    login("Operator")
    opened = fields(client.get(host_page(alice)))
    Host.objects.update(left_on=A_MONDAY)

    client.post(host_page(alice), opened | {"_deactivate": "1"})
    save(client, alice, _deactivate="1")

    alice.refresh_from_db()
    assert alice.left_on == A_MONDAY
    assert b"_deactivate" not in client.get(host_page(alice)).content


def act(client, action, *hosts):
    return client.post(
        reverse(LIST),
        {"action": action, "_selected_action": [host.pk for host in hosts], "index": "0"},
        follow=True,
    )


def test_hosts_are_deactivated_but_keep_an_earlier_last_day(client, login, alice):
    login("Operator")
    left, other = HostFactory(left_on=A_MONDAY), HostFactory()

    page = act(client, "deactivate", alice, left)

    last_days = dict(Host.objects.values_list("pk", "left_on"))
    assert last_days == {alice.pk: TODAY, left.pk: A_MONDAY, other.pk: None}
    assert log() == ["Last day: was none, now 2026-11-24."]
    assert messages(page) == [
        "1 host deactivated; the last day is 2026-11-24. Hosts that have a last day keep it."
    ]


def test_hosts_are_reactivated(client, login, alice):
    login("Operator")
    left = HostFactory(left_on=A_MONDAY)

    page = act(client, "reactivate", alice, left)

    left.refresh_from_db()
    assert left.left_on is None
    assert log() == ["Last day: was 2026-11-16, now none."]
    assert messages(page) == ["1 host reactivated."]


def test_a_viewer_sees_no_form(client, viewer, alice):
    page = client.get(host_page(alice))

    assert "version_token" not in fields(page)
    assert client.post(host_page(alice), {"first_name": "Alice"}).status_code == 403
