"""The rules in the admin: one card for each, a form for the next version, a preview before it."""

from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlencode

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse
from django.utils import timezone

from rewards.choices import RuleType
from rewards.exceptions import QueryTimedOut
from rewards.models import RewardRule
from rewards.services import rules
from tests.admin.conftest import fields, messages, words
from tests.factories import DailyActivityFactory, HostFactory, RewardRuleFactory

TODAY = date(2026, 11, 24)
TOMORROW = date(2026, 11, 25)
AUDIO = RuleType.DAILY_AUDIO_CALL_TARGET
LIST = reverse("admin:rewards_rewardrule_changelist")

VALUES = {
    "threshold": "6",
    "points": "60",
    "starts_on": str(TOMORROW),
    "is_active": "on",
    "reason": "Autumn offer",
}


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    monkeypatch.setattr(timezone, "now", lambda: datetime(2026, 11, 24, 3, tzinfo=UTC))


@pytest.fixture
def editor(login):
    return login("Rule editor")


def change_page(rule_type=AUDIO):
    return f"{reverse('admin:rewards_rewardrule_add')}?{urlencode({'rule_type': rule_type})}"


def version_page(version, action="change"):
    return reverse(f"admin:rewards_rewardrule_{action}", args=[version.pk])


def save(client, address, opened=None, **values):
    """Open a form, unless it is `opened` already, and save it with VALUES."""
    token = (opened or fields(client.get(address)))["version_token"]
    sent = {"version_token": token} | VALUES | values
    return client.post(address, {name: value for name, value in sent.items() if value is not None})


def errors(page):
    return page.context["form"].errors


def log():
    return list(LogEntry.objects.order_by("pk").values_list("change_message", flat=True))


# --- Cards


def test_a_card_shows_what_is_in_force_and_what_comes_next(client, editor):
    RewardRuleFactory(rule_type=AUDIO, threshold=4, starts_on=date(2026, 1, 1))
    now = RewardRuleFactory(
        rule_type=AUDIO, threshold=5, points=50, starts_on=date(2026, 2, 1), reason="More calls"
    )
    pending = RewardRuleFactory(rule_type=AUDIO, threshold=6, points=1_000, starts_on=TOMORROW)
    RewardRuleFactory(is_active=False)

    page = client.get(LIST)

    cards = {card.rule_type: card for card in page.context["cards"]}
    assert {rule_type: card.state for rule_type, card in cards.items()} == {
        RuleType.DAILY_LOGIN: "paused",
        AUDIO: "in force",
        RuleType.DAILY_VIDEO_CALL_TARGET: "not set up",
        RuleType.WEEKLY_CONSISTENCY: "not set up",
    }
    assert cards[AUDIO].current == now
    assert [entry.version for entry in cards[AUDIO].pending] == [pending]
    assert [entry.days for entry in cards[AUDIO].history] == [
        "2026-11-25 – open",
        "2026-02-01 – 2026-11-24",
        "2026-01-01 – 2026-01-31",
    ]
    text = words(page)
    assert "5 completed audio calls a day for 50 points since 2026-02-01: More calls" in text
    assert "From 2026-11-25: 6 completed audio calls a day for 1,000 points." in text
    assert "1 login a day paused: pays nothing" in text
    assert "Schedule another change" in text


@pytest.mark.parametrize(
    ("starts_on", "is_active", "state"),
    [
        (TODAY, True, "in force"),
        (TODAY, False, "paused"),
        (TOMORROW, True, "not set up"),
    ],
)
def test_a_version_counts_from_its_first_day_on(client, editor, starts_on, is_active, state):
    RewardRuleFactory(rule_type=AUDIO, starts_on=starts_on, is_active=is_active)

    cards = {card.rule_type: card for card in client.get(LIST).context["cards"]}

    assert cards[AUDIO].state == state


@pytest.mark.parametrize(("role", "may_write"), [("Rule editor", True), ("Viewer", False)])
def test_only_an_editor_sees_the_ways_to_change_a_rule(client, login, role, may_write):
    login(role)
    pending = RewardRuleFactory(rule_type=AUDIO, starts_on=TOMORROW)

    page = client.get(LIST).content.decode()

    assert (f'"{change_page(RuleType.DAILY_LOGIN)}"' in page) == may_write
    assert (f'"{version_page(pending, "delete")}"' in page) == may_write
    # The history links to the version for everybody.
    assert page.count(f'"{version_page(pending)}"') == 1 + may_write


def test_a_reason_is_escaped(client, editor):
    RewardRuleFactory(rule_type=AUDIO, reason='"><script>alert(1)</script>')

    page = client.get(LIST).content.decode()

    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page


# --- The form


def test_the_form_begins_with_the_latest_version_from_tomorrow(client, editor):
    RewardRuleFactory(rule_type=AUDIO, threshold=5, points=50, is_active=False, reason="A trial")

    page = client.get(change_page())

    form = page.context["form"]
    found = {name: form[name].value() for name in VALUES}
    assert found == {
        "threshold": 5,
        "points": 50,
        "starts_on": TOMORROW,
        "is_active": False,
        "reason": "",
    }
    assert form["threshold"].label == "Completed audio calls a day"
    assert form["threshold"].help_text.endswith("1–10,000 completed audio calls a day.")
    assert "This becomes version 2" in words(page)


def test_the_form_begins_after_a_pending_version(client, editor):
    RewardRuleFactory(rule_type=AUDIO, starts_on=date(2026, 12, 1))

    form = client.get(change_page()).context["form"]

    assert form["starts_on"].value() == date(2026, 12, 2)


def test_the_form_of_a_new_rule_is_empty_and_active(client, editor):
    form = client.get(change_page()).context["form"]

    assert {name: form[name].value() for name in VALUES} == {
        "threshold": None,
        "points": None,
        "starts_on": TOMORROW,
        "is_active": True,
        "reason": None,
    }


@pytest.mark.parametrize("rule_type", ["", "nosuch", "daily_login ", "DAILY_LOGIN\u200b"])
def test_a_form_is_of_a_known_rule_type(client, editor, rule_type):
    answer = client.post(change_page(rule_type), VALUES)

    assert answer.url == LIST
    assert not RewardRule.objects.exists()


def test_a_change_writes_the_next_version(client, editor):
    RewardRuleFactory(rule_type=AUDIO, threshold=5, points=50)

    answer = save(client, change_page())

    version = RewardRule.objects.get(starts_on=TOMORROW)
    summary = "6 completed audio calls a day for 60 points, active, from 2026-11-25"
    assert answer.url == LIST
    assert (version.rule_type, version.threshold, version.points) == (AUDIO, 6, 60)
    assert (version.reason, version.created_by) == ("Autumn offer", editor)
    assert log() == [f"Written: {summary}; why: Autumn offer."]
    assert messages(client.get(LIST)) == [f"Daily audio call target: {summary}; why: Autumn offer."]


def test_a_pending_version_is_changed_in_place(client, editor):
    pending = RewardRuleFactory(
        rule_type=AUDIO, threshold=5, points=50, starts_on=TOMORROW, reason="A trial"
    )
    assert fields(client.get(version_page(pending)))["reason"] == "A trial"

    save(client, version_page(pending), is_active=None)

    pending.refresh_from_db()
    assert (pending.threshold, pending.is_active, pending.created_by) == (6, False, editor)
    assert log() == [
        "Was: 5 completed audio calls a day for 50 points, active, from 2026-11-25; "
        "why: A trial. Now: 6 completed audio calls a day for 60 points, paused, from "
        "2026-11-25; why: Autumn offer."
    ]


def test_a_pending_version_is_withdrawn(client, editor):
    pending = RewardRuleFactory(rule_type=AUDIO, starts_on=TOMORROW)
    address = version_page(pending, "delete")

    question = client.get(address)
    page = client.post(address, fields(question), follow=True)

    assert "from 2026-11-25: 1 completed audio call a day for 10 points" in words(question)
    assert messages(page) == ["Withdrawn: Daily audio call target from 2026-11-25."]
    assert not RewardRule.objects.exists()
    assert log() == [
        "Withdrawn: 1 completed audio call a day for 10 points, active, from 2026-11-25."
    ]
    assert LogEntry.objects.get().object_id == str(pending.pk)


def test_a_version_that_has_begun_is_shown_only(client, editor):
    version = RewardRuleFactory(rule_type=AUDIO, threshold=5, starts_on=TODAY, reason="A trial")

    page = client.get(version_page(version))
    answers = [
        client.post(version_page(version), VALUES),
        client.get(version_page(version, "delete")),
        client.post(version_page(version, "delete")),
    ]

    assert "This version has begun and never changes" in words(page)
    assert "Threshold 5 completed audio calls a day Points 10" in words(page)
    assert [answer.status_code for answer in answers] == [403, 403, 403]
    version.refresh_from_db()
    assert version.threshold == 5


# --- Refusals


@pytest.mark.parametrize(
    ("rule_type", "field", "value", "most"),
    [
        (AUDIO, "points", "1_000", "1,000,000"),
        (AUDIO, "points", "1000001", "1,000,000"),
        (AUDIO, "threshold", "", "10,000"),
        (AUDIO, "threshold", "10001", "10,000"),
        (RuleType.DAILY_LOGIN, "threshold", "101", "100"),
        (RuleType.WEEKLY_CONSISTENCY, "threshold", "8", "7"),
    ],
)
def test_a_number_outside_its_limits_is_refused(client, editor, rule_type, field, value, most):
    page = save(client, change_page(rule_type), **{"threshold": "1", field: value})

    assert errors(page) == {field: [f"Enter a whole number 1–{most}, digits 0–9 only."]}
    assert not RewardRule.objects.exists()


@pytest.mark.parametrize(
    ("starts_on", "message"),
    [
        ("", "The date is empty; use YYYY-MM-DD."),
        ("2026-02-30", "No such day: '2026-02-30'."),
        (
            "2026-11-10",
            "A version of DAILY_AUDIO_CALL_TARGET already begins on 2026-11-10; "
            "the next one begins after it.",
        ),
    ],
)
def test_an_invalid_first_day_is_refused_beside_its_field(client, editor, starts_on, message):
    RewardRuleFactory(rule_type=AUDIO, threshold=5, starts_on=date(2026, 11, 10))

    page = save(client, change_page(), starts_on=starts_on)

    assert errors(page) == {"starts_on": [message]}
    assert RewardRule.objects.count() == 1
    assert log() == []


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("", "This field is required."),
        ("   ", "This field is required."),
        ("x" * 10_000, "Ensure this value has at most 200 characters (it has 10000)."),
        ("a\0b", "Null characters are not allowed."),
    ],
)
def test_an_invalid_reason_is_refused(client, editor, reason, message):
    page = save(client, change_page(), reason=reason)

    assert errors(page) == {"reason": [message]}


def test_the_same_version_again_is_refused_on_top(client, editor):
    save(client, change_page())

    page = save(client, change_page())

    assert errors(page) == {"__all__": ["This version exists already."]}
    assert RewardRule.objects.count() == 1
    assert len(log()) == 1


# --- Optimistic locking


def test_the_second_of_two_editors_learns_who_was_first_and_when(client, login):
    RewardRuleFactory(rule_type=AUDIO, threshold=5, points=50)
    login("Rule editor")
    opened = fields(client.get(change_page()))
    first = login("Rule editor")
    save(client, change_page(), opened, threshold="7", reason="I was first")
    LogEntry.objects.update(action_time=datetime(2026, 11, 24, 3, 1, tzinfo=UTC))
    login("Rule editor")

    page = save(client, change_page(), opened, starts_on="2026-12-01")

    assert errors(page) == {
        "__all__": [
            f"This rule was changed by {first} at 2026-11-24 03:01:00 UTC; its latest version "
            "says: 7 completed audio calls a day for 60 points, active, from 2026-11-25; why: "
            "I was first. Reload this page and make your change again."
        ]
    }
    assert RewardRule.objects.count() == 2
    again = save(client, change_page(), fields(page), starts_on="2026-12-01")
    assert "__all__" in errors(again)  # refused until it is reloaded


def test_a_change_from_the_command_line_is_noticed(client, editor):
    opened = fields(client.get(change_page()))
    rules.set_rule(
        rule_type=AUDIO, threshold=9, points=9, starts_on=TOMORROW, is_active=True, today=TODAY
    )

    page = save(client, change_page(), opened, starts_on="2026-12-01")

    (message,) = errors(page)["__all__"]
    assert message.startswith("This rule was changed by the command line at ")


def test_a_withdrawal_is_noticed_by_the_editor_of_the_version(client, login):
    pending = RewardRuleFactory(rule_type=AUDIO, starts_on=TOMORROW)
    login("Rule editor")
    opened = fields(client.get(change_page()))
    first = login("Rule editor")
    address = version_page(pending, "delete")
    client.post(address, fields(client.get(address)))

    page = save(client, change_page(), opened)

    (message,) = errors(page)["__all__"]
    assert f"changed by {first} at" in message
    assert "its latest version says: nothing" in message


def test_a_version_changed_since_the_question_is_not_withdrawn(client, login):
    pending = RewardRuleFactory(rule_type=AUDIO, starts_on=TOMORROW)
    login("Rule editor")
    question = fields(client.get(version_page(pending, "delete")))
    first = login("Rule editor")
    save(client, version_page(pending))

    page = client.post(version_page(pending, "delete"), question, follow=True)

    assert messages(page)[-1].startswith(f"This rule was changed by {first} at ")
    assert RewardRule.objects.get().points == 60
    assert len(log()) == 1


def test_a_version_that_has_begun_since_is_not_withdrawn(client, editor, monkeypatch):
    pending = RewardRuleFactory(rule_type=AUDIO, starts_on=TOMORROW)
    question = fields(client.get(version_page(pending, "delete")))

    def began(**kwargs):
        raise rules.RuleRefused("The version has begun.")

    monkeypatch.setattr(rules, "withdraw", began)

    page = client.post(version_page(pending, "delete"), question, follow=True)

    assert messages(page) == ["The version has begun."]
    assert log() == []


# --- Preview


def test_a_preview_shows_the_effect_and_writes_nothing(client, editor):
    RewardRuleFactory(rule_type=AUDIO, threshold=5, points=50)
    gaining = HostFactory(external_id="alice")
    day = TODAY - timedelta(days=2)
    DailyActivityFactory(user=gaining, date=day, audio_calls=4)
    DailyActivityFactory(date=day, audio_calls=5)

    page = save(client, change_page(), threshold="4", points="40", _preview="7")

    assert page.context["preview"]["figures"] == [
        {"title": "Awards", "value": "2", "note": "now 1: +1 (+100%)"},
        {"title": "Points, the cost", "value": "80", "note": "now 50: +30 (+60%)"},
        {"title": "Points a day", "value": "11", "note": "now 7: +4 (+57%)"},
    ]
    text = words(page)
    assert "Preview: 2026-11-17 to 2026-11-23" in text
    assert "with the rule in force today (5 completed audio calls a day for 50 points)" in text
    assert "Would gain 1 host: alice (1×)." in text
    assert "Would lose Nobody." in text
    assert 'class="chart"' in page.content.decode()
    assert not errors(page)
    assert RewardRule.objects.count() == 1
    assert log() == []
    assert fields(page)["threshold"] == "4"


def test_a_preview_of_a_pending_version_changes_nothing(client, editor):
    pending = RewardRuleFactory(rule_type=AUDIO, threshold=5, starts_on=TOMORROW)
    DailyActivityFactory(date=TODAY - timedelta(days=2), audio_calls=5)

    page = save(client, version_page(pending), _preview="7")

    assert "preview" in page.context
    pending.refresh_from_db()
    assert pending.threshold == 5
    assert log() == []


@pytest.mark.parametrize(
    "wrong", [{"points": "0"}, {"starts_on": "2026-01-01"}, {"version_token": "stale"}]
)
def test_an_invalid_version_has_no_preview(client, editor, wrong):
    RewardRuleFactory(rule_type=AUDIO, starts_on=date(2026, 1, 1))

    page = save(client, change_page(), _preview="7", **wrong)

    assert errors(page)
    assert page.context["preview"] is None


def test_an_unknown_lookback_is_no_preview(client, editor):
    assert save(client, change_page(), _preview="14").url == LIST


def test_a_preview_of_a_pause_or_without_activity_says_so(client, editor):
    RewardRuleFactory(rule_type=AUDIO, threshold=5, points=50)
    quiet = save(client, change_page(), is_active=None, _preview="28")
    DailyActivityFactory(date=TODAY - timedelta(days=2), audio_calls=5)

    paused = save(client, change_page(), is_active=None, _preview="28")

    assert "No host was active on these days" in words(quiet)
    assert paused.context["preview"]["figures"][1]["note"] == "now 50: -50 (-100%)"


def test_a_preview_that_takes_too_long_keeps_the_form(client, editor, monkeypatch):
    def time_out(**kwargs):
        raise QueryTimedOut("The query took longer than 20 seconds.")

    monkeypatch.setattr("rewards.admin.rules.admin.preview_rule", time_out)

    page = save(client, change_page(), _preview="28")

    assert messages(page) == ["The query took longer than 20 seconds."]
    assert fields(page)["reason"] == "Autumn offer"
