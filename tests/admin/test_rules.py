"""The rules in the admin: one card each, a form for what comes next, a preview before it."""

import re
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlencode

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from rewards.choices import RuleType
from rewards.exceptions import QueryTimedOut
from rewards.models import RewardRule
from rewards.services import rules
from tests.factories import DailyActivityFactory, HostFactory, RewardRuleFactory, StaffFactory

TODAY = date(2026, 11, 24)
TOMORROW = date(2026, 11, 25)
AUDIO = RuleType.DAILY_AUDIO_CALL_TARGET
LIST = "admin:rewards_rewardrule_changelist"


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


def terms(**kwargs):
    chosen = {
        "threshold": "6",
        "points": "60",
        "starts_on": str(TOMORROW),
        "is_active": "on",
        "reason": "Autumn offer",
    }
    return chosen | kwargs


def text(answer):
    """Return the words of a page, without its markup."""
    return " ".join(re.sub(r"<[^>]*>", " ", answer.content.decode()).split())


def errors(answer):
    return answer.context["adminform"].form.errors


def test_each_rule_is_one_card_with_what_counts_now_and_what_comes(client, editor):
    RewardRuleFactory(rule_type=AUDIO, threshold=4, starts_on=date(2026, 1, 1))
    now = RewardRuleFactory(
        rule_type=AUDIO, threshold=5, points=50, starts_on=date(2026, 2, 1), reason="More calls"
    )
    to_come = RewardRuleFactory(rule_type=AUDIO, threshold=6, points=1_000, starts_on=TOMORROW)
    RewardRuleFactory(is_active=False)

    page = client.get(reverse(LIST))

    cards = {card.rule_type: card for card in page.context["cards"]}
    assert {rule_type: card.state for rule_type, card in cards.items()} == {
        RuleType.DAILY_LOGIN: "paused",
        AUDIO: "in force",
        RuleType.DAILY_VIDEO_CALL_TARGET: "not set up",
        RuleType.WEEKLY_CONSISTENCY: "not set up",
    }
    assert (cards[AUDIO].current, cards[AUDIO].coming) == (now, [to_come])
    assert [entry["days"] for entry in cards[AUDIO].history] == [
        "2026-11-25 – open",
        "2026-02-01 – 2026-11-24",
        "2026-01-01 – 2026-01-31",
    ]
    words = text(page)
    assert "5 completed audio calls a day for 50 points since 2026-02-01: More calls" in words
    assert "From 2026-11-25: 6 completed audio calls a day for 1,000 points." in words
    assert "1 login a day paused: pays nothing" in words


@pytest.mark.parametrize(("role", "may_write"), [("Rule editor", True), ("Viewer", False)])
def test_only_an_editor_is_offered_to_change(client, login, role, may_write):
    login(role)
    to_come = RewardRuleFactory(rule_type=AUDIO, starts_on=TOMORROW)

    page = client.get(reverse(LIST)).content.decode()

    for address in (
        change_page(RuleType.DAILY_LOGIN),
        f'"{version_page(to_come, "delete")}"',
    ):
        assert (address in page) == may_write


def test_the_form_begins_with_what_the_rule_says_from_tomorrow_on(client, editor):
    RewardRuleFactory(rule_type=AUDIO, threshold=5, points=50)

    form = client.get(change_page()).context["adminform"].form

    assert {name: form[name].value() for name in ("threshold", "points", "starts_on")} == {
        "threshold": 5,
        "points": 50,
        "starts_on": TOMORROW,
    }
    assert form["threshold"].label == "Completed audio calls a day"
    assert form["threshold"].help_text.endswith("1–10,000 completed audio calls a day.")
    assert "rule_type" not in form.fields


def test_a_change_writes_the_next_version_and_the_log_says_what_it_was(client, editor):
    RewardRuleFactory(rule_type=AUDIO, threshold=5, points=50)

    answer = client.post(change_page(), terms(), follow=True)

    version = RewardRule.objects.get(starts_on=TOMORROW)
    assert answer.redirect_chain == [(reverse(LIST), 302)]
    assert (version.rule_type, version.threshold, version.points) == (AUDIO, 6, 60)
    assert (version.reason, version.created_by) == ("Autumn offer", editor)
    assert LogEntry.objects.get().change_message == (
        "Written: 6 completed audio calls a day for 60 points, active, from 2026-11-25; "
        "why: Autumn offer."
    )


def test_a_pending_version_is_changed_in_place_and_the_log_has_both(client, editor):
    to_come = RewardRuleFactory(
        rule_type=AUDIO, threshold=5, points=50, starts_on=TOMORROW, reason="A trial"
    )

    client.post(version_page(to_come), terms(is_active=""))

    to_come.refresh_from_db()
    assert (to_come.threshold, to_come.is_active, to_come.created_by) == (6, False, editor)
    assert LogEntry.objects.get().change_message == (
        "Was: 5 completed audio calls a day for 50 points, active, from 2026-11-25; "
        "why: A trial. Now: 6 completed audio calls a day for 60 points, paused, from "
        "2026-11-25; why: Autumn offer."
    )


def test_a_pending_version_is_withdrawn_and_the_log_has_it(client, editor):
    to_come = RewardRuleFactory(rule_type=AUDIO, starts_on=TOMORROW)

    question = client.get(version_page(to_come, "delete"))
    answer = client.post(version_page(to_come, "delete"), {"post": "yes"}, follow=True)

    assert "from 2026-11-25: 1 completed audio call a day for 10 points" in text(question)
    assert "Withdrawn: Daily audio call target from 2026-11-25." in text(answer)
    assert not RewardRule.objects.exists()
    assert "Withdrawn: 1 completed audio call a day" in LogEntry.objects.get().change_message


def test_a_version_that_has_begun_is_shown_and_not_changed(client, editor):
    version = RewardRuleFactory(rule_type=AUDIO, threshold=5, starts_on=TODAY)

    page = client.get(version_page(version))
    answers = [
        client.post(version_page(version), terms()),
        client.post(version_page(version, "delete"), {"post": "yes"}),
    ]

    assert b"This version has begun" in page.content
    assert [answer.status_code for answer in answers] == [403, 403]
    version.refresh_from_db()
    assert version.threshold == 5


BAD_NUMBERS = [
    "-5",
    "0",
    "",
    "abc",
    "1.5",
    "1.0",
    "1e3",
    "1_000",
    "1 000",
    "１２",
    "٣",
    "99999999999",
    "<script>",
    "=1+1",
    "NaN",
    "−5",
]


@pytest.mark.parametrize(
    ("field", "value"),
    [("points", value) for value in BAD_NUMBERS] + [("threshold", "1_0"), ("threshold", "")],
)
def test_a_number_is_digits_within_its_limits_and_the_message_stands_beside_it(
    client, editor, field, value
):
    answer = client.post(change_page(), terms(**{field: value}))

    most = {"threshold": "10,000", "points": "1,000,000"}[field]
    assert errors(answer) == {field: [f"Enter a whole number 1–{most}, digits 0–9 only."]}
    assert b'value="<script>"' not in answer.content
    assert not RewardRule.objects.exists()


@pytest.mark.parametrize(
    ("rule_type", "threshold"),
    [(RuleType.DAILY_LOGIN, "101"), (AUDIO, "10001"), (RuleType.WEEKLY_CONSISTENCY, "8")],
)
def test_a_threshold_has_the_limit_of_its_type(client, editor, rule_type, threshold):
    answer = client.post(change_page(rule_type), terms(threshold=threshold))

    assert list(errors(answer)) == ["threshold"]


@pytest.mark.parametrize(
    ("starts_on", "message"),
    [
        ("", "The date is empty; use YYYY-MM-DD."),
        ("2026-2-3", "Not a date of the form YYYY-MM-DD: '2026-2-3'."),
        ("2026-02-30", "No such day: '2026-02-30'."),
        ("tomorrow", "Not a date of the form YYYY-MM-DD: 'tomorrow'."),
        (
            "2026-11-10",
            "A version of DAILY_AUDIO_CALL_TARGET already begins on 2026-11-10; "
            "the next one begins after it.",
        ),
    ],
)
def test_a_first_day_that_cannot_be_is_said_beside_it(client, editor, starts_on, message):
    RewardRuleFactory(rule_type=AUDIO, threshold=5, starts_on=date(2026, 11, 10))

    answer = client.post(change_page(), terms(starts_on=starts_on))

    assert errors(answer) == {"starts_on": [message]}
    assert RewardRule.objects.count() == 1


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("", "This field is required."),
        ("   ", "This field is required."),
        ("x" * 10_000, "Ensure this value has at most 200 characters (it has 10000)."),
        ("a\0b", "Null characters are not allowed."),
    ],
)
def test_a_reason_is_one_line_that_says_something(client, editor, reason, message):
    answer = client.post(change_page(), terms(reason=reason))

    assert errors(answer) == {"reason": [message]}


@pytest.mark.parametrize("rule_type", ["", "nosuch", "daily_login ", "DAILY_LOGIN\u200b"])
def test_a_rule_type_is_one_of_the_four(client, editor, rule_type):
    answer = client.post(reverse("admin:rewards_rewardrule_add"), terms(rule_type=rule_type))

    assert list(errors(answer)) == ["rule_type"]
    assert not RewardRule.objects.exists()


def test_a_reason_is_shown_as_it_was_written(client, editor):
    RewardRuleFactory(rule_type=AUDIO, reason='"><script>alert(1)</script>')

    page = client.get(reverse(LIST)).content.decode()

    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page


def seen(answer):
    return str(answer.context["adminform"].form["seen"].value())


def test_the_second_of_two_editors_is_told_who_was_first_and_when(client, login):
    RewardRuleFactory(rule_type=AUDIO, threshold=5, points=50)
    login("Rule editor")
    mark = seen(client.get(change_page()))
    first = login("Rule editor")
    client.post(change_page(), terms(seen=mark, threshold="7", reason="I was first"))
    LogEntry.objects.update(action_time=datetime(2026, 11, 24, 3, 1, tzinfo=UTC))
    login("Rule editor")

    answer = client.post(change_page(), terms(seen=mark, starts_on="2026-12-01"))

    assert errors(answer) == {
        "__all__": [
            f"This rule was changed by {first} at 2026-11-24 03:01:00 UTC; its latest version "
            "says: 7 completed audio calls a day for 60 points, active, from 2026-11-25; why: "
            "I was first. Reload this page to go on from there."
        ]
    }
    assert RewardRule.objects.count() == 2
    again = client.post(change_page(), terms(seen=seen(answer), starts_on="2026-12-01"))
    assert "__all__" in errors(again)  # what was not reloaded stays stale


def test_a_change_from_the_command_line_is_noticed_too(client, editor):
    mark = seen(client.get(change_page()))
    rules.set_rule(
        rule_type=AUDIO, threshold=9, points=9, starts_on=TOMORROW, is_active=True, today=TODAY
    )

    answer = client.post(change_page(), terms(seen=mark, starts_on="2026-12-01"))

    (message,) = errors(answer)["__all__"]
    assert message.startswith("This rule was changed by the command line at ")


def test_a_withdrawal_is_noticed_by_whoever_was_changing_the_version(client, login):
    to_come = RewardRuleFactory(rule_type=AUDIO, starts_on=TOMORROW)
    login("Rule editor")
    mark = seen(client.get(change_page()))
    first = login("Rule editor")
    client.post(version_page(to_come, "delete"), {"post": "yes"})

    answer = client.post(change_page(), terms(seen=mark))

    (message,) = errors(answer)["__all__"]
    assert f"changed by {first} at" in message
    assert "its latest version says: nothing" in message


def test_a_preview_shows_what_the_change_would_have_done_and_writes_nothing(client, editor):
    RewardRuleFactory(rule_type=AUDIO, threshold=5, points=50)
    gaining = HostFactory(external_id="alice")
    day = TODAY - timedelta(days=2)
    DailyActivityFactory(user=gaining, date=day, audio_calls=4)
    DailyActivityFactory(date=day, audio_calls=5)

    answer = client.post(change_page(), terms(threshold="4", points="40", _preview="7"))

    preview = answer.context["preview"]
    assert [(each["title"], each["value"], each["note"]) for each in preview["figures"]] == [
        ("Awards", "2", "now 1: +1 (+100%)"),
        ("Points, the cost", "80", "now 50: +30 (+60%)"),
        ("Points a day", "11", "now 7: +4 (+57%)"),
    ]
    words = text(answer)
    assert "What it would have done, 2026-11-17 to 2026-11-23" in words
    assert "beside the rule in force today (5 completed audio calls a day for 50 points)" in words
    assert "Would gain 1 host: alice (1×)." in words
    assert "Would lose Nobody." in words
    assert 'class="chart"' in answer.content.decode()
    assert not errors(answer)
    assert RewardRule.objects.count() == 1
    assert not LogEntry.objects.exists()
    assert answer.context["adminform"].form["threshold"].value() == "4"


@pytest.mark.parametrize(
    "wrong", [{"points": "0"}, {"starts_on": "2026-01-01"}, {"_preview": "14"}]
)
def test_what_cannot_be_written_has_no_preview(client, editor, wrong):
    RewardRuleFactory(rule_type=AUDIO, starts_on=date(2026, 1, 1))

    answer = client.post(change_page(), terms(_preview="7") | wrong)

    assert "preview" not in (answer.context or {})


def test_a_preview_of_a_pause_and_of_no_activity_says_so(client, editor):
    RewardRuleFactory(rule_type=AUDIO, threshold=5, points=50)
    quiet = client.post(change_page(), terms(is_active="", _preview="28"))
    DailyActivityFactory(date=TODAY - timedelta(days=2), audio_calls=5)

    paused = client.post(change_page(), terms(is_active="", _preview="28"))

    assert "No host was active in this time" in text(quiet)
    assert paused.context["preview"]["figures"][1]["note"] == "now 50: -50 (-100%)"


def test_a_preview_that_takes_too_long_says_so_and_keeps_the_form(client, editor, monkeypatch):
    def give_up(**kwargs):
        raise QueryTimedOut("this took longer than 20 seconds and was given up.")

    monkeypatch.setattr("rewards.admin.rules.admin.preview_rule", give_up)

    answer = client.post(change_page(), terms(_preview="28"))

    assert "This took longer than 20 seconds and was given up." in text(answer)
    assert answer.context["adminform"].form["reason"].value() == "Autumn offer"


def test_the_page_of_the_rules_takes_the_same_queries_for_any_number_of_versions(client, editor):
    client.get(reverse(LIST))  # what a session reads once
    counts = []
    for versions in (1, 20):
        for _ in range(versions):
            RewardRuleFactory(
                rule_type=AUDIO,
                starts_on=date(2026, 1, 1) + timedelta(days=RewardRule.objects.count()),
                created_by=StaffFactory(),
            )
        with CaptureQueriesContext(connection) as queries:
            client.get(reverse(LIST))
        counts.append(len(queries))

    assert counts[0] == counts[1]


def test_the_preview_takes_the_same_queries_for_any_number_of_hosts(client, editor):
    RewardRuleFactory(rule_type=AUDIO, threshold=1)
    client.get(reverse(LIST))  # what a session reads once
    counts = []
    for hosts in (1, 40):
        for _ in range(hosts):
            DailyActivityFactory(date=TODAY - timedelta(days=3), audio_calls=1)
        with CaptureQueriesContext(connection) as queries:
            client.post(change_page(), terms(_preview="28"))
        counts.append(len(queries))

    assert counts[0] == counts[1]
