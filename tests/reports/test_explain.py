from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from rewards.choices import (
    RULE_TYPE_SPECS,
    ActivityKind,
    BatchStatus,
    Cadence,
    RuleType,
    RunKind,
    RunStatus,
    RunTrigger,
)
from rewards.engine.evaluators import EVALUATORS
from rewards.exceptions import UnknownHost
from rewards.models import ScoreHistory
from rewards.reports.explain.explanation import Outcome, explain, explain_host
from rewards.selectors.visible_hosts import ALL_HOSTS
from tests.awards import award_daily
from tests.factories import (
    A_MONDAY,
    ActivityEventFactory,
    AwardRunFactory,
    DailyActivityFactory,
    HostFactory,
    RewardRuleFactory,
    ScoreHistoryFactory,
)

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
TODAY = NOW.date()
A_SUNDAY = A_MONDAY + timedelta(days=6)

LOGIN = RuleType.DAILY_LOGIN
AUDIO = RuleType.DAILY_AUDIO_CALL_TARGET
WEEKLY = RuleType.WEEKLY_CONSISTENCY


def explained(host, rule_type=AUDIO, day=A_MONDAY):
    explanation = explain(external_id=host.external_id, day=day, now=NOW)
    (rule,) = [rule for rule in explanation.rules if rule.rule_type == rule_type]
    return rule


def at(hour, minute=0, *, day=16):
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


def audio_call(host, occurred_at, seconds=60, **kwargs):
    return ActivityEventFactory(
        user=host,
        kind=ActivityKind.AUDIO_CALL,
        occurred_at=occurred_at,
        duration_seconds=seconds,
        **kwargs,
    )


@pytest.fixture
def host(db):
    return HostFactory(external_id="alice")


@pytest.fixture
def audio_rule(db):
    return RewardRuleFactory(rule_type=AUDIO, threshold=5, points=50)


def test_an_award_has_its_ledger_row_and_its_run(host, audio_rule):
    DailyActivityFactory(user=host, audio_calls=6)
    award_daily(day=A_MONDAY, now=NOW, trigger=RunTrigger.COMMAND)
    AwardRunFactory(attempt=2)  # a later run, which awarded nothing

    rule = explained(host)

    award = ScoreHistory.objects.get()
    assert (rule.outcome, rule.award, rule.run) == (Outcome.AWARDED, award, award.run)
    assert rule.sentence == "6 completed audio calls (5 needed): paid 50 points."


def test_a_miss_has_the_count_and_the_threshold(host, audio_rule):
    DailyActivityFactory(user=host, audio_calls=4)
    AwardRunFactory()

    rule = explained(host)

    assert (rule.outcome, rule.measured, rule.version) == (Outcome.NOT_EARNED, 4, audio_rule)
    assert rule.sentence == "4 completed audio calls (5 needed)."
    assert rule.notes == ()


def test_a_miss_notes_events_around_the_day(host, audio_rule):
    audio_call(host, at(23, 51, day=15))
    audio_call(host, at(0, 7, day=17))
    audio_call(host, at(0, 59, day=17))
    audio_call(host, at(1, 0, day=17))  # too far off
    audio_call(host, at(0, 8, day=17), seconds=0)  # would not have counted
    ActivityEventFactory(user=host, occurred_at=at(0, 9, day=17))  # a login is no call

    assert explained(host).notes == (
        "1 more audio call at 23:51 belongs to the day before.",
        "2 more audio calls at 00:07, 00:59 belong to the next day.",
    )


def test_a_short_video_call_beside_the_day_is_not_noted(host):
    RewardRuleFactory(rule_type=RuleType.DAILY_VIDEO_CALL_TARGET, threshold=5)
    for minute, seconds in [(5, 0), (6, 60)]:
        ActivityEventFactory(
            user=host,
            kind=ActivityKind.VIDEO_CALL,
            occurred_at=at(0, minute, day=17),
            duration_seconds=seconds,
        )

    assert explained(host, RuleType.DAILY_VIDEO_CALL_TARGET).notes == (
        "1 more video call at 00:06 belongs to the next day.",
    )


def test_a_miss_notes_calls_too_short_to_count(host, audio_rule, settings):
    settings.REWARDS_MIN_CALL_SECONDS = 10
    for minute in range(4):
        audio_call(host, at(12, minute), seconds=9)
    audio_call(host, at(13), seconds=10)

    assert explained(host).notes == (
        "4 audio calls at 12:00, 12:01, 12:02, … were too short to count (under 10 s).",
    )


def test_times_are_in_the_business_time_zone(host, audio_rule, settings):
    settings.REWARDS_TIME_ZONE = "Asia/Kolkata"
    audio_call(host, at(18, 37), business_date=date(2026, 11, 17))

    assert explained(host).notes == ("1 more audio call at 00:07 belongs to the next day.",)


def test_a_week_has_its_own_days_and_bounds(host):
    RewardRuleFactory(rule_type=WEEKLY, threshold=5)
    for offset in range(4):
        DailyActivityFactory(user=host, date=A_MONDAY + timedelta(days=offset))
    audio_call(host, at(12, day=16), seconds=0)  # on a day that is active anyway
    audio_call(host, at(12, day=20), seconds=0)
    ActivityEventFactory(user=host, occurred_at=at(0, 7, day=23))

    explanation = explain(external_id="alice", day=A_MONDAY + timedelta(days=2), now=NOW)
    rule = explanation.rules[-1]

    assert explanation.active_days == [A_MONDAY + timedelta(days=n) for n in range(4)]
    assert (rule.rule_type, rule.reference_date) == (WEEKLY, A_MONDAY)
    assert rule.sentence == "4 active days (5 needed)."
    assert rule.notes == (
        "1 more login at Mon 00:07 belongs to the next week.",
        "1 audio call at Fri 12:00 was too short to count (under 1 s).",
    )


def test_a_paused_rule_has_its_date(host):
    RewardRuleFactory(rule_type=AUDIO, starts_on=date(2026, 1, 1))
    RewardRuleFactory(rule_type=AUDIO, starts_on=date(2026, 11, 10), is_active=False)

    rule = explained(host)

    assert (rule.outcome, rule.sentence) == (
        Outcome.PAUSED,
        "The rule has been paused since 2026-11-10.",
    )


def test_a_rule_without_a_version_in_force(host):
    RewardRuleFactory(rule_type=AUDIO, starts_on=A_MONDAY + timedelta(days=1))

    rule = explained(host)

    assert (rule.outcome, rule.version) == (Outcome.NO_VERSION, None)
    assert rule.sentence == "No version of this rule was in force on 2026-11-16."


def test_a_week_is_evaluated_by_the_version_of_its_sunday(host):
    RewardRuleFactory(rule_type=WEEKLY, starts_on=date(2026, 1, 1), threshold=5)
    sundays = RewardRuleFactory(rule_type=WEEKLY, starts_on=A_SUNDAY, threshold=3)

    assert explained(host, WEEKLY).version == sundays


@pytest.mark.parametrize(
    ("rule_type", "left_on", "outcome"),
    [
        (AUDIO, A_MONDAY - timedelta(days=1), Outcome.NOT_ACTIVE),
        (AUDIO, A_MONDAY, Outcome.NOT_EARNED),  # the last day still counts
        (WEEKLY, A_SUNDAY - timedelta(days=1), Outcome.NOT_ACTIVE),
        (WEEKLY, A_SUNDAY, Outcome.NOT_EARNED),
    ],
)
def test_an_ineligible_host_differs_from_a_miss(rule_type, left_on, outcome):
    RewardRuleFactory(rule_type=rule_type, threshold=5)

    rule = explained(HostFactory(left_on=left_on), rule_type)

    assert rule.outcome == outcome
    assert (str(left_on) in rule.sentence) == (outcome == Outcome.NOT_ACTIVE)


def test_a_user_who_is_not_a_host(audio_rule):
    rule = explained(HostFactory(external_id="bob", is_host=False))

    assert (rule.outcome, rule.sentence) == (
        Outcome.NOT_ACTIVE,
        "bob is not a host.",
    )


@pytest.mark.parametrize(
    ("rule_type", "day", "sentence"),
    [
        (AUDIO, TODAY, "2 completed audio calls (5 needed) so far; 2026-11-24 has not ended."),
        (
            AUDIO,
            TODAY + timedelta(days=1),
            "The business day is 2026-11-24; 2026-11-25 is in the future.",
        ),
        (WEEKLY, TODAY, "1 active day (5 needed) so far; week 2026-11-23 has not ended."),
    ],
)
def test_a_period_that_has_not_ended_has_its_count_so_far(host, rule_type, day, sentence):
    RewardRuleFactory(rule_type=rule_type, threshold=5)
    DailyActivityFactory(user=host, date=TODAY, audio_calls=2)

    rule = explained(host, rule_type, day)

    assert (rule.outcome, rule.sentence) == (Outcome.NOT_CLOSED, sentence)


def test_an_earned_award_waits_for_the_first_run(host, audio_rule):
    DailyActivityFactory(user=host, audio_calls=5)
    AwardRunFactory(cadence=Cadence.WEEKLY)

    rule = explained(host)

    assert (rule.outcome, rule.run) == (Outcome.NOT_RUN, None)
    assert rule.sentence == (
        "5 completed audio calls (5 needed): earned, not paid yet. "
        "The first run of 2026-11-16 pays 50 points."
    )


def test_a_run_that_has_not_finished(host, audio_rule):
    DailyActivityFactory(user=host, audio_calls=5)
    AwardRunFactory(attempt=3, status=RunStatus.RUNNING, finished_at=None)

    rule = explained(host)

    assert rule.outcome == Outcome.INTERRUPTED
    assert rule.sentence.endswith(
        "Attempt 3 has not finished; finishing it, or running 2026-11-16 again, pays 50 points."
    )


def test_a_failed_batch_has_its_error(host, audio_rule):
    DailyActivityFactory(user=host, audio_calls=5)
    run = AwardRunFactory(status=RunStatus.PARTIAL)
    failed = {"status": BatchStatus.FAILED, "finished_at": run.finished_at}
    run.batches.create(
        after_user=host.pk, through_user=host.pk + 9, error="another batch", **failed
    )
    assert explained(host).outcome == Outcome.DUE
    run.batches.create(after_user=host.pk - 1, through_user=host.pk, error="poison", **failed)

    rule = explained(host)

    assert rule.outcome == Outcome.FAILED
    assert rule.sentence.endswith(
        "The host's batch failed in attempt "
        f"{run.attempt} (poison); running 2026-11-16 again pays 50 points."
    )


def test_late_activity_is_paid_by_the_next_run(host, audio_rule):
    run = AwardRunFactory()
    audio_call(host, at(12), received_at=run.started_at - timedelta(hours=1))
    for minute in range(1, 5):
        audio_call(host, at(12, minute), received_at=run.started_at + timedelta(hours=1))
    DailyActivityFactory(user=host, audio_calls=5)

    rule = explained(host)

    assert rule.outcome == Outcome.DUE
    assert rule.sentence.endswith(
        f"It was not earned when attempt {run.attempt} evaluated it; "
        "the next run of 2026-11-16 pays 50 points."
    )
    assert rule.notes == (
        "4 audio calls at 12:01, 12:02, 12:03, … arrived after the latest run started on "
        "2026-11-17 at 00:05.",
    )


def test_an_unknown_host_is_refused(db):
    with pytest.raises(UnknownHost, match=r"^No host has the external id 'nobody'\.$"):
        explain(external_id="nobody", day=A_MONDAY, now=NOW)


def test_an_explanation_takes_ten_queries_at_most(host):
    counts = []
    for busy in (False, True):
        if busy:
            for rule_type in RuleType:
                RewardRuleFactory(rule_type=rule_type)
            for offset in range(7):
                day = A_MONDAY + timedelta(days=offset)
                DailyActivityFactory(user=host, date=day, audio_calls=9)
            for minute in range(50):
                audio_call(host, at(23, minute), seconds=minute % 2)
            award_daily(day=A_MONDAY, now=NOW, trigger=RunTrigger.COMMAND)

        with CaptureQueriesContext(connection) as queries:
            explain(external_id="alice", day=A_MONDAY, now=NOW)

        counts.append(len(queries))

    # Host, activity, awards, versions of the day and of the Sunday; runs, the batches that
    # failed, events near the bounds, short calls, late events.
    assert counts[1] == 10
    assert counts[0] <= counts[1]


def test_an_explanation_as_json():
    rule = RewardRuleFactory(threshold=2, points=30)
    host = HostFactory(external_id="alice")
    DailyActivityFactory(user=host, logins=3)
    award = ScoreHistoryFactory(user=host, rule=rule, measured=3)

    answer = explain(external_id="alice", day=A_MONDAY + timedelta(days=1), now=NOW).to_dict()
    monday = explain(external_id="alice", day=A_MONDAY, now=NOW).to_dict()

    assert {key: answer[key] for key in ("host", "date", "active_days")} == {
        "host": "alice",
        "date": "2026-11-17",
        "active_days": ["2026-11-16"],
    }
    assert answer["rules"][0] == {
        "rule_type": "DAILY_LOGIN",
        "reference_date": "2026-11-17",
        "outcome": "not earned",
        "sentence": "0 logins (2 needed).",
        "notes": [],
        "measured": 0,
        "version": {"starts_on": "2026-01-01", "threshold": 2, "points": 30, "is_active": True},
        "award": None,
        "run": None,
    }
    assert monday["rules"][0]["award"] == {
        "id": award.pk,
        "points": 30,
        "measured": 3,
        "threshold": 2,
        "written_at": award.created_at.isoformat(),
    }
    assert monday["rules"][0]["run"] == {
        "id": award.run.pk,
        "attempt": award.run.attempt,
        "status": "done",
    }
    assert [rule["reference_date"] for rule in answer["rules"]] == ["2026-11-17"] * 3 + [
        "2026-11-16"
    ]


def test_metrics_of_a_week_note_short_calls_on_active_days_too(host, monkeypatch):
    """Only a metric of active days is complete on a day that is active anyway."""
    weekly = RULE_TYPE_SPECS[WEEKLY]._replace(metric="audio_calls", noun="completed audio call")
    monkeypatch.setitem(RULE_TYPE_SPECS, WEEKLY, weekly)
    monkeypatch.setitem(EVALUATORS, WEEKLY, EVALUATORS[AUDIO])
    RewardRuleFactory(rule_type=WEEKLY, threshold=5)
    DailyActivityFactory(user=host, audio_calls=2)
    DailyActivityFactory(user=host, audio_calls=2, date=A_SUNDAY)
    audio_call(host, at(12), seconds=0)

    rule = explained(host, WEEKLY)

    assert rule.sentence == "4 completed audio calls (5 needed)."
    assert rule.notes == ("1 audio call at Mon 12:00 was too short to count (under 1 s).",)


# --- For a reader outside ---------------------------------------------------------------------


def test_a_host_is_explained_as_to_staff():
    RewardRuleFactory()
    DailyActivityFactory(user=HostFactory(external_id="alice"))
    question = {"external_id": "alice", "day": A_MONDAY, "now": NOW}

    assert explain_host(**question, visible=ALL_HOSTS).to_dict() == explain(**question).to_dict()


def test_only_staff_may_ask_about_who_is_no_host():
    HostFactory(external_id="bob", is_host=False)

    with pytest.raises(UnknownHost, match=r"^No host has the external id 'bob'\.$"):
        explain_host(external_id="bob", day=A_MONDAY, now=NOW, visible=ALL_HOSTS)


def test_an_award_that_was_undone_is_not_explained_as_paid(host, audio_rule):
    award = ScoreHistoryFactory(user=host, rule=audio_rule, measured=6)
    ScoreHistoryFactory(
        user=host,
        rule=audio_rule,
        measured=6,
        entry=1,
        points=-award.points,
        run=AwardRunFactory(kind=RunKind.UNDO),
    )

    rule = explained(host)

    assert rule.award is None
    assert rule.outcome != Outcome.AWARDED
