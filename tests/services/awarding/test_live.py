"""Live awards: what a request pays, what it leaves to the run of the day, and how a day ends."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from rewards.choices import Cadence, RuleType, RunKind, RunStatus
from rewards.engine.periods import Period
from rewards.exceptions import InvalidStartDate
from rewards.models import ActivityEvent, AwardRun, Score, ScoreHistory
from rewards.reports.verify.verification import verify_ledger
from rewards.selectors.leaders import recorded_leaders
from rewards.selectors.runs import lock_key
from rewards.selectors.visible_hosts import ALL_HOSTS
from rewards.services import ingest
from rewards.services.awarding import live
from rewards.services.rules import set_rule, withdraw
from tests import awards
from tests.factories import A_MONDAY, HostFactory, RewardRuleFactory
from tests.processes import TIMEOUT_SECONDS, another_session, held_by_another

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 16, 12, tzinfo=UTC)
TUESDAY = A_MONDAY + timedelta(days=1)
NIGHT = datetime(2026, 11, 17, 0, 5, tzinfo=UTC)


@pytest.fixture
def login():
    return RewardRuleFactory(points=10)


@pytest.fixture
def audio():
    """Three calls a day."""
    return RewardRuleFactory(rule_type=RuleType.DAILY_AUDIO_CALL_TARGET, threshold=3, points=25)


@pytest.fixture
def ana():
    return HostFactory(external_id="ana")


def event(event_id, kind="login", at=NOON, host="ana"):
    return {
        "event_id": event_id,
        "user_id": host,
        "kind": kind,
        "occurred_at": at.isoformat(),
        "duration_seconds": 0 if kind == "login" else 60,
    }


def call(event_id, **kwargs):
    return event(event_id, kind="audio_call", **kwargs)


def send(*events, now=NOON, creates_hosts=False):
    report = ingest.ingest_events(events=events, source="app", creates_hosts=creates_hosts, now=now)
    return [(award["user_id"], award["rule_type"], award["measured"]) for award in report.awards]


def ledger():
    return list(
        ScoreHistory.objects.order_by("reference_date", "user", "rule_type").values_list(
            "user__external_id", "rule_type", "reference_date", "points"
        )
    )


def the_live_run():
    return AwardRun.objects.get(kind=RunKind.LIVE)


def is_intact():
    """Whether verification finds nothing but that these awards are not written on their day."""
    return set(verify_ledger(today=TUESDAY).broken) <= {"I23"}


LOGIN = ("ana", "DAILY_LOGIN", 1)


def test_an_event_pays_when_it_crosses_the_threshold(login, audio, ana):
    assert send(event("e1")) == [LOGIN]
    assert send(call("c1"), call("c2")) == []
    assert send(call("c3"), call("c4")) == [("ana", "DAILY_AUDIO_CALL_TARGET", 4)]
    assert send(call("c5"), event("e2")) == []

    run = the_live_run()
    assert (run.attempt, run.status, run.trigger) == (0, "live", "api")
    assert run.rule_versions == [audio.pk, login.pk]
    assert ledger() == [
        ("ana", "DAILY_AUDIO_CALL_TARGET", A_MONDAY, 25),
        ("ana", "DAILY_LOGIN", A_MONDAY, 10),
    ]
    assert Score.objects.values_list("lifetime", "daily", "daily_date").get() == (
        35,
        35,
        A_MONDAY,
    )
    assert is_intact()


def test_the_answer_says_what_was_paid(login, ana):
    report = ingest.ingest_events(events=[event("e1")], source="app", creates_hosts=False, now=NOON)

    assert report.to_dict()["awards"] == [
        {
            "user_id": "ana",
            "rule_type": "DAILY_LOGIN",
            "reference_date": "2026-11-16",
            "points": 10,
            "measured": 1,
            "threshold": 1,
        }
    ]


def test_hosts_of_one_request_are_each_paid(login):
    events = [event(f"e{n}", host=f"h{n}") for n in (3, 1, 2)]

    assert sorted(send(*events, creates_hosts=True)) == [
        (f"h{n}", "DAILY_LOGIN", 1) for n in (1, 2, 3)
    ]


def test_a_repeated_event_pays_nothing(login, ana):
    assert send(event("e1")) == [LOGIN]
    assert send(event("e1")) == []


@pytest.mark.parametrize(
    ("now", "at", "is_paid"),
    [
        (NOON, NOON, True),
        ("2026-11-16T23:59:59Z", "2026-11-16T23:59:59Z", True),
        ("2026-11-17T00:00:00Z", "2026-11-16T23:59:59Z", False),
        ("2026-11-17T00:00:00Z", "2026-11-17T00:00:00Z", True),
        # The clock of the app is five minutes ahead.
        ("2026-11-16T23:58:00Z", "2026-11-17T00:03:00Z", False),
    ],
)
def test_only_an_event_of_today_is_paid(now, at, is_paid, login, ana):
    now, at = (
        moment if isinstance(moment, datetime) else datetime.fromisoformat(moment)
        for moment in (now, at)
    )

    assert bool(send(event("e1", at=at), now=now)) == is_paid
    assert ActivityEvent.objects.count() == 1


@pytest.mark.parametrize(
    ("zone", "now", "at", "day"),
    [
        # Clocks go forward on 29 March 2026, and back on 25 October: days of 23 and 25 hours.
        ("Europe/Berlin", "2026-03-29T21:59:59Z", "2026-03-28T23:00:00Z", "2026-03-29"),
        ("Europe/Berlin", "2026-10-25T22:59:59Z", "2026-10-24T22:00:00Z", "2026-10-25"),
    ],
)
def test_a_day_with_a_clock_change_is_paid_whole(zone, now, at, day, login, ana, settings):
    settings.REWARDS_TIME_ZONE = zone

    assert send(event("e1", at=datetime.fromisoformat(at)), now=datetime.fromisoformat(now))
    assert str(ScoreHistory.objects.get().reference_date) == day


def test_a_host_who_has_left_is_not_paid(login):
    HostFactory(external_id="ana", left_on=A_MONDAY - timedelta(days=1))
    HostFactory(external_id="bo", left_on=A_MONDAY)

    assert send(event("e1"), event("e2", host="bo")) == [("bo", "DAILY_LOGIN", 1)]


def test_a_weekly_rule_is_never_paid_live(ana):
    RewardRuleFactory(rule_type=RuleType.WEEKLY_CONSISTENCY, threshold=1)

    assert send(event("e1")) == []
    assert not AwardRun.objects.exists()


def test_without_live_awards_the_run_pays(login, ana, settings):
    settings.REWARDS_LIVE = False

    assert send(event("e1")) == []
    assert not AwardRun.objects.exists()
    awards.award_daily(day=A_MONDAY, now=NIGHT)
    assert ledger() == [("ana", "DAILY_LOGIN", A_MONDAY, 10)]


def test_a_rule_may_begin_today_before_the_first_live_award(ana):
    assert send(event("e1")) == []

    set_rule_of_today()

    assert not AwardRun.objects.exists()
    assert send(event("e2")) == []  # the host has logged in before
    awards.award_daily(day=A_MONDAY, now=NIGHT)
    assert ledger() == [("ana", "DAILY_LOGIN", A_MONDAY, 10)]


def set_rule_of_today(points=10, starts_on=A_MONDAY):
    return set_rule(
        rule_type=RuleType.DAILY_LOGIN,
        threshold=1,
        points=points,
        starts_on=starts_on,
        is_active=True,
        today=A_MONDAY,
    )


def test_a_rule_that_a_live_run_pays_is_kept(login, ana):
    send(event("e1"))

    with pytest.raises(InvalidStartDate, match="The live run of 2026-11-16 is in progress"):
        set_rule_of_today(points=20)


def test_a_rule_type_that_is_not_paid_live_may_begin_today(audio, ana):
    """The live run goes on without it, and the run of the day pays it."""
    send(event("e1"), call("c1"))

    set_rule_of_today()

    assert send(event("e2")) == []
    awards.award_daily(day=A_MONDAY, now=NIGHT)
    assert ledger() == [("ana", "DAILY_LOGIN", A_MONDAY, 10)]
    assert is_intact()


def test_a_pending_version_of_a_day_with_a_live_run_is_kept(login, ana):
    """The clock of another machine is past midnight already."""
    version = set_rule_of_today(points=20, starts_on=TUESDAY).version
    send(event("e1", at=NIGHT), now=NIGHT)

    for change in (
        lambda: withdraw(rule=version, today=A_MONDAY),
        lambda: set_rule_of_today(points=30, starts_on=TUESDAY),
    ):
        with pytest.raises(InvalidStartDate):
            change()


def test_no_live_run_opens_beside_an_award_run_of_its_day(login, ana):
    """The award run began after this process had looked for one."""
    awards.award_daily(day=A_MONDAY, now=NIGHT)

    assert live._new_live_run(Period(Cadence.DAILY, A_MONDAY), "2s") is None
    assert not AwardRun.objects.filter(kind=RunKind.LIVE).exists()


def test_the_statements_of_a_request_with_a_live_award(login, audio, ana):
    send(call("c1"))
    send(call("c2"))  # the settings are recorded and compared
    events = [event(f"e{n}") for n in range(1, 500)]

    with CaptureQueriesContext(connection) as queries:
        assert send(*events) == [("ana", "DAILY_LOGIN", 499)]

    statements = [" ".join((query["sql"] or "prepared").split()) for query in queries]
    starts = ["SAVEPOINT", "prepared", "COPY rewards_scorehistory", "INSERT INTO rewa"]
    assert [
        statement[: len(start)]
        for statement, start in zip(statements, [*starts, "RELEASE"], strict=True)
    ] == [*starts, "RELEASE"]


# --- The end of the day -----------------------------------------------------------------------


def test_the_first_award_run_ends_the_live_run(login, audio, ana):
    send(event("e1"), call("c1"))
    HostFactory(external_id="bo")

    report = awards.award_daily(day=A_MONDAY, now=NIGHT)

    run = the_live_run()
    assert (run.status, run.awards, run.points, run.hosts_rewarded) == ("done", 1, 10, 1)
    assert run.by_rule == {"DAILY_LOGIN": {"awards": 1, "points": 10}}
    assert (report.attempt, report.counts.awards) == (1, 0)
    assert is_intact()


def test_the_run_pays_what_the_live_run_missed(login, audio, ana, settings):
    send(event("e1"), call("c1"), call("c2"))
    settings.REWARDS_LIVE = False
    send(call("c3"))

    report = awards.award_daily(day=A_MONDAY, now=NIGHT)

    assert (report.counts.awards, report.counts.hosts_rewarded) == (1, 0)
    assert [row[1] for row in ledger()] == ["DAILY_AUDIO_CALL_TARGET", "DAILY_LOGIN"]
    assert is_intact()


def test_a_late_event_of_an_ended_day_is_stored_only(login, audio, ana):
    """The clock of this process is behind: it still has the live run of the day."""
    send(event("e1"), call("c1"), call("c2"))
    awards.award_daily(day=A_MONDAY, now=NIGHT)

    assert send(call("c3")) == []

    assert ActivityEvent.objects.count() == 4
    awards.award_daily(day=A_MONDAY, now=NIGHT)
    assert [row[3] for row in ledger()] == [25, 10]
    assert is_intact()


def test_no_live_run_opens_for_a_day_with_an_award_run(login, ana):
    awards.award_daily(day=A_MONDAY, now=NIGHT)

    assert send(event("e1")) == []
    assert not AwardRun.objects.filter(kind=RunKind.LIVE).exists()


@pytest.mark.django_db(transaction=True)
def test_no_live_run_opens_while_an_award_run_opens(login, ana):
    with held_by_another(lock_key(Period(Cadence.DAILY, A_MONDAY))):
        assert send(event("e1")) == []

    assert not AwardRun.objects.exists()


@pytest.mark.parametrize("status", [RunStatus.HELD, RunStatus.FAILED])
def test_a_live_run_that_is_stopped_pays_nothing(status, login, audio, ana):
    send(event("e1"))
    AwardRun.objects.update(status=status, finished_at=None if status == RunStatus.HELD else NOON)

    assert send(call("c1"), call("c2"), call("c3")) == []
    assert ActivityEvent.objects.count() == 4


def test_a_released_live_run_pays_again(login, audio, ana):
    send(event("e1"))
    AwardRun.objects.update(status=RunStatus.HELD)
    send(call("c1"), call("c2"))
    AwardRun.objects.update(status=RunStatus.LIVE)

    assert send(call("c3")) == [("ana", "DAILY_AUDIO_CALL_TARGET", 3)]


def test_the_tick_ends_live_runs_of_earlier_days(login, ana):
    """Nothing of the day may count, so that no award run comes."""
    send(event("e1", at=NOON - timedelta(days=9)))
    assert the_live_run().reference_date == A_MONDAY

    live.refresh_live_runs(today=A_MONDAY)
    assert the_live_run().status == RunStatus.LIVE
    live.refresh_live_runs(today=TUESDAY)
    assert the_live_run().status == RunStatus.DONE


def test_a_held_live_run_is_not_ended_by_the_tick(login, ana):
    send(event("e1"))
    AwardRun.objects.update(status=RunStatus.HELD)

    live.refresh_live_runs(today=TUESDAY)

    assert the_live_run().status == RunStatus.HELD


def test_a_failure_to_add_up_stops_nothing(login, ana, monkeypatch, caplog):
    send(event("e1"))

    def fail(**_):
        with connection.cursor() as cursor, transaction.atomic():
            cursor.execute("SELECT 1 / 0")

    monkeypatch.setattr(live, "counts_of_run", fail)
    live.refresh_live_runs(today=A_MONDAY)

    assert "Live runs were not added up: division by zero" in caplog.text


def test_the_tick_adds_live_runs_up(login, ana):
    send(event("e1"))
    assert the_live_run().counted_at is None

    live.refresh_live_runs(today=A_MONDAY)

    run = the_live_run()
    assert (run.status, run.awards, run.points, run.hosts_rewarded) == ("live", 1, 10, 1)
    assert run.leaders == [[ana.pk, 10]]
    recorded = recorded_leaders(monday=A_MONDAY, visible=ALL_HOSTS)
    assert recorded == ([(ana.pk, 10)], run.counted_at)


def test_the_live_run_of_yesterday_is_not_used_today(login, ana):
    send(event("e1"))

    assert send(event("e2", at=NIGHT), now=NIGHT) == [LOGIN]

    days = AwardRun.objects.order_by("reference_date").values_list("reference_date", flat=True)
    assert list(days) == [A_MONDAY, TUESDAY]


# --- Conflicts --------------------------------------------------------------------------------


def test_an_award_that_was_paid_meanwhile_is_looked_up(login, audio, ana, monkeypatch):
    """Something else has paid the award: the constraint refuses, and the rest is paid."""
    send(call("c1"), call("c2"))
    evaluated = live._newly_earned
    monkeypatch.setattr(live, "_newly_earned", lambda job, crossing: job.awards_for(crossing.after))
    assert send(call("c3")) == [("ana", "DAILY_AUDIO_CALL_TARGET", 3)]

    assert send(event("e1")) == [LOGIN]

    assert evaluated is not live._newly_earned
    assert len(ledger()) == 2
    assert is_intact()


def test_events_are_stored_when_awards_keep_failing(login, ana, monkeypatch):
    def refuse(*_, **__):
        with connection.cursor() as cursor:
            cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '40P01'; END $$")

    monkeypatch.setattr(ingest, "pay", refuse)

    assert send(event("e1")) == []
    assert ActivityEvent.objects.count() == 1


def test_events_are_stored_when_live_awards_are_broken(login, ana, monkeypatch, caplog):
    """As after a restore of rows alone: a sequence of the ledger is behind its rows."""

    def fail(*_, **__):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")

    monkeypatch.setattr(ingest, "pay", fail)

    assert send(event("e1")) == []

    assert ActivityEvent.objects.count() == 1
    assert "Live awards failed; the events are stored without them." in caplog.text


def test_events_are_stored_when_no_live_run_can_be_opened(login, ana, monkeypatch, caplog):
    def fail(*_, **__):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")

    opened = live._new_live_run
    monkeypatch.setattr(live, "_new_live_run", fail)
    assert send(event("e1")) == []
    monkeypatch.setattr(live, "_new_live_run", opened)
    assert send(event("e2")) == []  # it tries again after a pause

    assert ActivityEvent.objects.count() == 2
    assert caplog.text.count("No live run was opened: division by zero") == 1
    live.forget_all()
    send(event("e3"))
    assert the_live_run().status == RunStatus.LIVE


@pytest.mark.django_db(transaction=True)
def test_the_end_of_a_live_run_counts_what_is_being_paid(login, ana, monkeypatch):
    """A request has paid and not committed when the award run opens."""
    has_paid, may_commit, paid = threading.Event(), threading.Event(), []
    unhurried = ingest.pay

    def pay_and_wait(*args, **kwargs):
        earned = unhurried(*args, **kwargs)
        has_paid.set()
        assert may_commit.wait(TIMEOUT_SECONDS)
        return earned

    monkeypatch.setattr(ingest, "pay", pay_and_wait)

    def work():
        try:
            paid.extend(send(event("e1")))
        finally:
            connection.close()

    request = threading.Thread(target=work)
    request.start()
    assert has_paid.wait(TIMEOUT_SECONDS)
    threading.Timer(0.2, may_commit.set).start()
    awards.award_daily(day=A_MONDAY, now=NIGHT)
    request.join(TIMEOUT_SECONDS)

    assert paid == [LOGIN]
    assert the_live_run().awards == 1
    assert len(ledger()) == 1
    assert is_intact()


@pytest.mark.django_db(transaction=True)
def test_no_request_waits_for_an_editor_of_rules(login, ana, monkeypatch):
    monkeypatch.setattr(ingest, "LOCK_TIMEOUT", "50ms")
    with another_session() as editor, editor.transaction():
        editor.execute("LOCK TABLE rewards_rewardrule IN SHARE ROW EXCLUSIVE MODE")
        assert send(event("e1")) == []  # the lock is still held

    assert ActivityEvent.objects.count() == 1
    live.forget_all()  # it tries again after a pause
    assert send(event("e2", host="bo"), creates_hosts=True) == [("bo", "DAILY_LOGIN", 1)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("same_id", [False, True], ids=["different ids", "same id"])
def test_eight_requests_at_once_pay_once(same_id, login, ana):
    start, paid = threading.Barrier(8), []

    def work(number):
        try:
            start.wait(TIMEOUT_SECONDS)
            paid.extend(send(event("e" if same_id else f"e{number}")))
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_SECONDS)

    assert paid == [LOGIN]
    assert len(ledger()) == 1
    assert ActivityEvent.objects.count() == (1 if same_id else 8)
    assert is_intact()
