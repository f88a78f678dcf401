from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from rewards.admin.runs import journal
from rewards.choices import BatchStatus, Cadence, RuleType, RunStatus, RunTrigger
from rewards.engine.periods import Period
from rewards.engine.values import AwardCounts
from rewards.exceptions import QueueUnreachable
from rewards.models import AwardBatch, AwardRun, RewardRule, ScoreHistory
from rewards.services import run_requests, worker_queue
from rewards.services.awarding.lock import period_lock
from rewards.services.awarding.run import RunReport
from rewards.services.run_requests import RequestOutcome
from tests.admin.conftest import messages, words
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
def sent(monkeypatch):
    """The messages to the workers."""
    sent = []
    monkeypatch.setattr(
        worker_queue, "enqueue", lambda task, *arguments: sent.append((task, *arguments))
    )
    return sent


def states(page):
    return {row["key"]: row["state"] for row in page.context["rows"]}


def test_the_journal_shows_periods_without_a_run(client, login, activity):
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
    assert messages(page) == ["2026-11-16: 10 points in 1 new award; 1 host evaluated."]
    assert states(page)["daily 2026-11-16"] == "done"


def test_running_a_date_twice_awards_nothing_twice(client, login, activity):
    login("Operator")
    client.post(START, DAY)

    page = client.post(START, DAY, follow=True)

    assert ScoreHistory.objects.count() == 1
    assert messages(page)[-1] == "2026-11-16: 0 points in 0 new awards; 1 host evaluated."


def test_a_missing_period_is_run_by_its_button(client, login, activity):
    login("Operator")
    page = client.get(JOURNAL)

    assert 'value="weekly 2026-11-09"' in page.content.decode()
    client.post(START, {"period": "weekly 2026-11-09"})

    assert AwardRun.objects.get().cadence == Cadence.WEEKLY


def test_what_is_due_is_run_oldest_first(client, login, activity):
    login("Operator")

    page = client.post(START_DUE, follow=True)

    assert [sentence.partition(":")[0] for sentence in messages(page)] == [
        "2026-11-11",
        "week of 2026-11-09",
        "2026-11-16",
    ]
    assert page.context["due"] == 0
    assert messages(client.post(START_DUE, follow=True)) == ["Nothing is due."]


def test_each_start_is_logged_once(client, login, activity):
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
            "The day 2026-11-18 has not ended in UTC; the last closed day is 2026-11-17.",
        ),
        (
            DAY | {"day": "2026-11-19"},
            "day",
            "2026-11-19 is in the future (the business day is 2026-11-18, zone UTC).",
        ),
        (
            {"cadence": "weekly", "day": "2026-11-11"},
            "day",
            "2026-11-11 is not a Monday; did you mean 2026-11-09?",
        ),
        (
            {"cadence": "weekly", "day": "2026-11-16"},
            "day",
            "The week 2026-11-16 has not ended in UTC; the last closed week is 2026-11-09.",
        ),
        (
            {"period": "hourly 2026-11-16"},
            "cadence",
            "Select a valid choice. hourly is not one of the available choices.",
        ),
    ],
)
def test_an_invalid_date_is_refused_beside_its_field(client, login, activity, data, field, message):
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


def test_a_viewer_sees_no_button(client, login, activity):
    login("Viewer")

    page = client.get(JOURNAL).content.decode()

    assert '<form method="post" action="/admin/rewards/' not in page
    assert "Run what is due" not in page


def test_a_large_period_is_enqueued(client, login, activity, sent, monkeypatch):
    login("Operator")
    monkeypatch.setattr(run_requests, "MAX_HOSTS", 0)

    page = client.post(START, DAY, follow=True)

    run = AwardRun.objects.get()
    assert sent == [("award_batches", run.pk)]
    assert run.status == RunStatus.RUNNING
    assert not ScoreHistory.objects.exists()
    assert "The workers were notified" in messages(page)[0]


def test_many_due_periods_are_enqueued(client, login, activity, sent, monkeypatch):
    login("Operator")
    monkeypatch.setattr(run_requests, "MAX_HOSTS", 1)

    client.post(START_DUE)

    assert sent == [("award_due",)]
    assert not AwardRun.objects.exists()


@pytest.mark.parametrize("address", [START, START_DUE])
def test_an_unreachable_broker_is_reported(client, login, activity, monkeypatch, address):
    def send(*_):
        raise QueueUnreachable("The queue's broker cannot be reached.")

    monkeypatch.setattr(worker_queue, "enqueue", send)
    monkeypatch.setattr(run_requests, "MAX_HOSTS", 0)
    login("Operator")

    page = client.post(address, DAY, follow=True)

    assert messages(page) == ["The queue's broker cannot be reached."]


def test_an_open_run_shows_its_progress(client, login, activity):
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
    assert (shown["percent"], shown["is_running"]) == (50, False)
    assert shown["text"].startswith("1 of 2 batches, 7 awards since 2026-11-17 00:05:00 UTC.")
    assert 'hx-trigger="every 3s"' in page.content.decode()


def test_a_run_is_running_while_a_process_holds_its_lock(client, login, activity):
    login("Viewer")

    AwardRunFactory(status=RunStatus.RUNNING, finished_at=None)

    with period_lock(Period(Cadence.DAILY, A_MONDAY), shared=True):
        page = client.get(JOURNAL)

    assert page.context["open_runs"][0]["is_running"]
    assert states(page)["daily 2026-11-16"] == "running"


def test_an_empty_database_has_nothing_to_run(client, login):
    login("Operator")

    page = client.get(JOURNAL).content.decode()

    assert "No activity yet. Load some with" in page
    assert 'hx-trigger="every 3s"' not in page


def test_the_journal_has_pages(client, login, activity):
    login("Viewer")
    for week in range(10):
        AwardRunFactory(reference_date=A_MONDAY - timedelta(weeks=week))

    first, second = client.get(JOURNAL), client.get(JOURNAL, {"page": "2"})

    assert len(first.context["rows"]) == journal.PERIODS_PER_PAGE
    assert not states(first).keys() & states(second).keys()
    assert 'rel="next"' in first.content.decode()
    assert 'rel="prev"' in second.content.decode()


def test_the_page_of_a_run_shows_its_failures(client, login):
    login("Viewer")
    run = AwardRunFactory(
        status=RunStatus.PARTIAL, by_rule={"DAILY_LOGIN": {"awards": 1_000, "points": 2_000}}
    )
    for n in range(52):
        AwardBatch.objects.create(
            run=run,
            after_user=n,
            through_user=n + 1,
            status=BatchStatus.FAILED,
            finished_at=NOW,
            error=f"Cause {n}.",
        )

    page = words(client.get(reverse("admin:rewards_awardrun_change", args=[run.pk])))

    assert "Hosts with internal ids 1 to 1 Cause 0." in page
    assert "Cause 49." in page
    assert "Cause 50." not in page
    assert "And 2 more failed batches." in page
    assert "Batches: 52 failed." in page
    assert "Daily login 1,000 2,000" in page


def test_a_run_that_failed_as_a_whole_says_why(client, login):
    login("Viewer")
    run = AwardRunFactory(status=RunStatus.FAILED, error="The server stopped.")

    page = client.get(reverse("admin:rewards_awardrun_change", args=[run.pk]))

    assert "What went wrong The server stopped." in words(page)


@pytest.mark.parametrize(
    ("status", "tag"), [(RunStatus.DONE, "success"), (RunStatus.PARTIAL, "error")]
)
def test_a_run_that_is_not_done_is_reported_as_an_error(
    client, login, activity, monkeypatch, status, tag
):
    login("Operator")
    run = RunReport(
        period=Period(Cadence.DAILY, A_MONDAY),
        status=status,
        attempt=1,
        rules=1,
        counts=AwardCounts(),
        seconds=0,
        error="One batch failed.",
    )
    monkeypatch.setattr(journal, "request_run", lambda **_: RequestOutcome(runs=(run,)))

    page = client.post(START, DAY, follow=True)

    assert [message.level_tag for message in page.context["messages"]] == [tag]
    assert ("One batch failed." in messages(page)[0]) == (status == RunStatus.PARTIAL)
