from datetime import UTC, date, datetime, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse
from rewards.services.runs import opened

from rewards.admin.runs import journal
from rewards.choices import BatchStatus, Cadence, RuleType, RunStatus, RunTrigger
from rewards.exceptions import QueueUnreachable
from rewards.models import AwardBatch, AwardRun, RewardRule, ScoreHistory
from rewards.services import run_requests, worker_queue
from tests.factories import (
    A_MONDAY,
    AwardRunFactory,
    DailyActivityFactory,
    HostFactory,
    RewardRuleFactory,
)

JOURNAL = reverse("admin:rewards_awardrun_journal")
START = reverse("admin:rewards_awardrun_start")
START_DUE = reverse("admin:rewards_awardrun_start_due")
NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
"""A Wednesday: Monday and Tuesday have ended, and the week before."""

DAY = {"cadence": "daily", "day": "2026-11-16"}


@pytest.fixture(autouse=True)
def _now(monkeypatch):
    monkeypatch.setattr(journal.timezone, "now", lambda: NOW)


@pytest.fixture
def activity(db):
    """A host is active on a Monday, and on the Wednesday of the week before."""
    host = HostFactory()
    DailyActivityFactory(user=host, date=A_MONDAY)
    DailyActivityFactory(user=host, date=A_MONDAY - timedelta(days=5))
    RewardRuleFactory(points=10)
    RewardRuleFactory(rule_type=RuleType.WEEKLY_CONSISTENCY, threshold=1, points=100)
    return host


@pytest.fixture
def messages(monkeypatch):
    """What is sent to the workers."""
    sent = []
    monkeypatch.setattr(
        worker_queue, "enqueue", lambda task, *arguments: sent.append((task, *arguments))
    )
    return sent


def states(page):
    return {row["key"]: row["state"] for row in page.context["rows"]}


def said(page):
    return [str(message) for message in page.context["messages"]]


def test_gaps_are_seen_in_the_journal(client, login, activity):
    login("Viewer")
    paid_by = list(RewardRule.objects.values_list("pk", flat=True))
    AwardRunFactory(reference_date=A_MONDAY, events_seen=1, rule_versions=paid_by)

    page = client.get(JOURNAL)

    assert list(states(page).items())[:5] == [
        ("daily 2026-11-17", "no activity"),
        ("daily 2026-11-16", "done"),
        ("weekly 2026-11-09", "missing"),
        ("daily 2026-11-15", "no activity"),
        ("daily 2026-11-14", "no activity"),
    ]
    assert states(page)["daily 2026-11-11"] == "missing"


def test_an_operator_runs_a_date(client, login, activity):
    login("Operator")

    page = client.post(START, DAY, follow=True)

    run = AwardRun.objects.get()
    assert (run.status, run.trigger) == (RunStatus.DONE, RunTrigger.ADMIN)
    assert ScoreHistory.objects.get().points == 10
    assert said(page) == ["2026-11-16: 10 points in 1 new awards; 1 hosts evaluated."]
    assert states(page)["daily 2026-11-16"] == "done"


def test_running_a_date_twice_awards_nothing_twice(client, login, activity):
    login("Operator")
    client.post(START, DAY)

    page = client.post(START, DAY, follow=True)

    assert ScoreHistory.objects.count() == 1
    assert said(page)[-1] == "2026-11-16: 0 points in 0 new awards; 1 hosts evaluated."


def test_a_gap_is_run_by_the_button_beside_it(client, login, activity):
    login("Operator")
    page = client.get(JOURNAL)

    assert 'value="weekly 2026-11-09"' in page.content.decode()
    client.post(START, {"period": "weekly 2026-11-09"})

    assert AwardRun.objects.get().cadence == Cadence.WEEKLY


def test_what_is_due_is_run_oldest_first(client, login, activity):
    login("Operator")

    page = client.post(START_DUE, follow=True)

    assert [sentence.partition(":")[0] for sentence in said(page)] == [
        "2026-11-11",
        "week of 2026-11-09",
        "2026-11-16",
    ]
    assert page.context["due"] == 0
    assert said(client.post(START_DUE, follow=True)) == ["Nothing is due."]


def test_each_start_leaves_one_entry_in_the_log(client, login, activity):
    operator = login("Operator")

    client.post(START, DAY)
    client.post(START_DUE)

    entries = LogEntry.objects.filter(user=operator).order_by("pk")
    assert [entry.object_repr for entry in entries] == ["run of 2026-11-16", "run of what is due"]


@pytest.mark.parametrize(
    ("data", "field", "message"),
    [
        (DAY | {"day": ""}, "day", "The date is empty; use YYYY-MM-DD."),
        (DAY | {"day": "16.11.2026"}, "day", "Not a date of the form YYYY-MM-DD: '16.11.2026'."),
        (DAY | {"day": "2026-02-30"}, "day", "No such day: '2026-02-30'."),
        (
            DAY | {"day": "2026-11-18"},
            "day",
            "Day 2026-11-18 has not ended in UTC; the last closed day is 2026-11-17.",
        ),
        (
            DAY | {"day": "2026-11-19"},
            "day",
            "2026-11-19 is in the future (business date is 2026-11-18, zone UTC).",
        ),
        (
            {"cadence": "weekly", "day": "2026-11-11"},
            "day",
            "2026-11-11 is not a Monday; did you mean 2026-11-09?",
        ),
        (
            {"cadence": "weekly", "day": "2026-11-16"},
            "day",
            "Week 2026-11-16 has not ended in UTC; the last closed week is 2026-11-09.",
        ),
        (
            {"period": "hourly 2026-11-16"},
            "cadence",
            "Select a valid choice. hourly is not one of the available choices.",
        ),
    ],
)
def test_a_date_that_cannot_be_run_is_refused_beside_its_field(
    client, login, activity, data, field, message
):
    login("Operator")

    page = client.post(START, data)

    assert page.status_code == 200
    assert page.context["form"].errors == {field: [message]}
    assert not AwardRun.objects.exists()
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("address", [START, START_DUE])
def test_a_run_is_never_started_by_a_link(client, login, activity, address):
    login("Operator")

    assert client.get(address).status_code == 405
    assert not AwardRun.objects.exists()


def test_who_may_not_start_is_shown_no_button(client, login, activity):
    login("Viewer")

    page = client.get(JOURNAL).content.decode()

    assert '<form method="post" action="/admin/rewards/' not in page
    assert "Run what is due" not in page


def test_a_large_period_is_handed_to_the_workers(client, login, activity, messages, monkeypatch):
    login("Operator")
    monkeypatch.setattr(run_requests, "MAX_HOSTS", 0)

    page = client.post(START, DAY, follow=True)

    run = AwardRun.objects.get()
    assert messages == [("award_batches", run.pk)]
    assert run.status == RunStatus.RUNNING
    assert not ScoreHistory.objects.exists()
    assert "the workers have been asked" in said(page)[0]


def test_much_that_is_due_is_handed_to_the_workers(client, login, activity, messages, monkeypatch):
    login("Operator")
    monkeypatch.setattr(run_requests, "MAX_HOSTS", 1)

    client.post(START_DUE)

    assert messages == [("award_due",)]
    assert not AwardRun.objects.exists()


@pytest.mark.parametrize("address", [START, START_DUE])
def test_no_worker_within_reach_is_said_in_a_sentence(
    client, login, activity, monkeypatch, address
):
    def send(*_):
        raise QueueUnreachable("The queue's broker cannot be reached.")

    monkeypatch.setattr(worker_queue, "enqueue", send)
    monkeypatch.setattr(run_requests, "MAX_HOSTS", 0)
    login("Operator")

    page = client.post(address, DAY, follow=True)

    assert said(page) == ["The queue's broker cannot be reached."]


def test_how_far_a_run_is_that_is_not_over(client, login, activity):
    login("Viewer")
    run = AwardRunFactory(status=RunStatus.RUNNING, finished_at=None)
    for after, status in [(0, BatchStatus.DONE), (10, BatchStatus.PENDING)]:
        AwardBatch.objects.create(
            run=run,
            after_user=after,
            through_user=after + 10,
            status=status,
            finished_at=None if status == BatchStatus.PENDING else NOW,
            awards=7 if status == BatchStatus.DONE else 0,
        )

    page = client.get(JOURNAL)

    (shown,) = page.context["open_runs"]
    assert (shown["percent"], shown["is_alive"]) == (50, False)
    assert shown["text"].startswith("1 of 2 batches, 7 awards since 2026-11-17 00:05:00 UTC")
    assert 'hx-trigger="every 3s"' in page.content.decode()


def test_a_run_is_alive_while_a_process_holds_it(client, login, activity):
    login("Viewer")

    with opened(cadence=Cadence.DAILY, reference_date=A_MONDAY, trigger=RunTrigger.COMMAND):
        page = client.get(JOURNAL)

    assert page.context["open_runs"][0]["is_alive"]
    assert states(page)["daily 2026-11-16"] == "running"


def test_an_empty_installation_has_nothing_to_run(client, login):
    login("Operator")

    page = client.get(JOURNAL).content.decode()

    assert "No day has activity yet" in page
    assert 'hx-trigger="every 3s"' not in page


@pytest.mark.parametrize("days", [10, 200])
def test_the_page_costs_the_same_queries_whatever_the_length_of_the_journal(
    client, login, activity, django_assert_num_queries, days
):
    login("Viewer")
    client.get(JOURNAL)
    for offset in range(days):
        AwardRunFactory(reference_date=date(2026, 11, 1) - timedelta(days=offset))

    # Session, user, rights (2); locks, activity, journal and rules of the periods; their totals,
    # open runs.
    with django_assert_num_queries(10):
        page = client.get(JOURNAL)

    assert len(page.context["rows"]) <= journal.PERIODS
