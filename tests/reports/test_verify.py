"""Each invariant finds its own violation, planted past every guard, and nothing else cries."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.db.models import F

from rewards.choices import ActivityKind, RuleType, RunTrigger
from rewards.engine.business_days import ONE_DAY, week_days
from rewards.models import ActivityEvent, AwardRun, DailyActivity, Score, ScoreHistory
from rewards.reports.verify.verification import verify_ledger
from rewards.services import scores, verify
from tests import awards
from tests.factories import A_MONDAY, ActivityEventFactory, HostFactory, RewardRuleFactory

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
TODAY = NOW.date()
TUESDAY = A_MONDAY + ONE_DAY


def broken():
    findings = verify_ledger(today=TODAY)
    return {each.name for each in findings if each.violations}


def act(host, day, kind=ActivityKind.LOGIN):
    """Store an event of `host` at noon of `day`, together with its count."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    seconds = 0 if kind == ActivityKind.LOGIN else 60
    ActivityEventFactory(
        user=host, kind=kind, occurred_at=noon, duration_seconds=seconds, received_at=noon
    )
    count = {"login": "logins", "audio_call": "audio_calls", "video_call": "video_calls"}[kind]
    counts = {count: F(count) + 1}
    if seconds:
        total = f"{kind.value.split('_')[0]}_seconds"
        counts[total] = F(total) + seconds
    if not DailyActivity.objects.filter(user=host, date=day).update(**counts):
        first = {name: expression.rhs.value for name, expression in counts.items()}
        DailyActivity.objects.create(user=host, date=day, **first)


def award_day(day):
    awards.award_daily(day=day, now=NOW, trigger=RunTrigger.COMMAND)


def award_week(monday=A_MONDAY):
    awards.award_weekly(monday=monday, now=NOW, trigger=RunTrigger.COMMAND)


def plant(*statements):
    """Run SQL that no trigger and no foreign key stands in the way of."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            cursor.execute(statement)
        cursor.execute("SET LOCAL session_replication_role = origin")


@pytest.fixture
def world():
    """Two hosts, a week of activity, all of it awarded; Ana has every day, Bo only Monday."""
    RewardRuleFactory(points=10)
    RewardRuleFactory(rule_type=RuleType.DAILY_AUDIO_CALL_TARGET, points=25)
    RewardRuleFactory(rule_type=RuleType.WEEKLY_CONSISTENCY, threshold=5, points=100)
    ana, bo = HostFactory(external_id="ana"), HostFactory(external_id="bo")
    for day in week_days(A_MONDAY):
        act(ana, day)
        act(ana, day, ActivityKind.AUDIO_CALL)
    act(bo, A_MONDAY)
    for day in week_days(A_MONDAY):
        award_day(day)
    award_week()
    return ana, bo


def test_what_is_sound_has_no_violation_and_every_row_is_checked(world):
    findings = {each.name: each for each in verify_ledger(today=TODAY)}

    assert [each.name for each in findings.values() if each.violations] == []
    assert {name: each.checked for name, each in findings.items()} == {
        **dict.fromkeys(["I1", "I9", "I10", "I11", "I15", "I19"], 16),
        **dict.fromkeys(["I3", "I4", "I5", "I6"], 2),
        **dict.fromkeys(["I13", "I14"], 8),
        **dict.fromkeys(["I2", "I7"], 1),
        "I12": 8,
        "I16": 15,
        "I20": 6,
        "D1": 8,
    }


def test_nothing_at_all_is_sound():
    assert broken() == set()


COPY_OF_AN_AWARD = """
    INSERT INTO rewards_scorehistory
        (user_id, rule_type, reference_date, points, rule_id, measured, threshold, run_id)
    SELECT {user}, rule_type, {date}, points, rule_id, measured, threshold, run_id
    FROM rewards_scorehistory WHERE reference_date = '2026-11-16' AND rule_type = 'DAILY_LOGIN'
    AND user_id = (SELECT id FROM rewards_user WHERE external_id = 'ana')
"""
BO = "(SELECT id FROM rewards_user WHERE external_id = 'bo')"
DROP = "ALTER TABLE rewards_{} DROP CONSTRAINT rewards_{}_{}"
ONCE = DROP.format("scorehistory", "scorehistory", "award_once")
UPDATE = "UPDATE rewards_scorehistory SET {} WHERE reference_date = '2026-11-17'"

PLANTS = {
    # An award twice: it is in no score, and its run did not count it.
    "I1": (
        [ONCE, COPY_OF_AN_AWARD.format(user="user_id", date="reference_date")],
        {"I1", "I2", "I3", "I5", "I13", "I19"},
    ),
    "I2 gone": ([ONCE], {"I2"}),
    "I2 deferrable": (
        [
            ONCE,
            "ALTER TABLE rewards_scorehistory ADD CONSTRAINT rewards_scorehistory_award_once"
            " UNIQUE (reference_date, user_id, rule_type) DEFERRABLE",
        ],
        {"I2"},
    ),
    "I3": (["UPDATE rewards_score SET lifetime = lifetime + 1"], {"I3", "I19"}),
    # What the sum of all scores does not show.
    "I3 among each other": (
        [
            f"UPDATE rewards_score SET lifetime = lifetime + 1 WHERE user_id = {BO}",
            DROP.format("score", "score", "periods_are_parts_of_the_whole"),
            f"UPDATE rewards_score SET lifetime = lifetime - 1 WHERE user_id <> {BO}",
        ],
        {"I3"},
    ),
    "I3 no score": (["DELETE FROM rewards_score"], {"I3", "I19"}),
    "I4": (["UPDATE rewards_score SET daily = daily + 1 WHERE daily > 0"], {"I4"}),
    "I4 of nothing": ([f"UPDATE rewards_score SET daily = 1 WHERE user_id = {BO}"], {"I4"}),
    "I5": (["UPDATE rewards_score SET weekly = weekly - 1"], {"I5"}),
    "I6 future": (
        ["UPDATE rewards_score SET daily_date = '2026-11-25', daily = 0"],
        {"I6"},
    ),
    "I6 no Monday": (
        [
            DROP.format("score", "score", "week_begins_on_monday"),
            f"UPDATE rewards_score SET week_start = '2026-11-15' WHERE user_id = {BO}",
        ],
        {"I6"},
    ),
    "I7 off": (
        ["ALTER TABLE rewards_scorehistory DISABLE TRIGGER rewards_scorehistory_is_append_only"],
        {"I7"},
    ),
    "I7 gone": (
        ["DROP TRIGGER rewards_scorehistory_is_append_only ON rewards_scorehistory"],
        {"I7"},
    ),
    "I7 lets truncate through": (
        [
            "DROP TRIGGER rewards_scorehistory_is_append_only ON rewards_scorehistory",
            "CREATE TRIGGER rewards_scorehistory_is_append_only"
            " BEFORE UPDATE OR DELETE ON rewards_scorehistory"
            " FOR EACH STATEMENT EXECUTE FUNCTION rewards_refuse_ledger_change()",
        ],
        {"I7"},
    ),
    "I9 other points": (
        ["UPDATE rewards_rewardrule SET points = 11 WHERE rule_type = 'DAILY_LOGIN'"],
        {"I9"},
    ),
    "I9 no run": (
        [UPDATE.format("run_id = 999999")],
        {"I9", "I13"},
    ),
    "I9 a version that was not in force yet": (
        ["UPDATE rewards_rewardrule SET starts_on = '2026-11-17' WHERE rule_type = 'DAILY_LOGIN'"],
        {"I9"},
    ),
    "I9 a version that was in force no longer": (
        [
            "INSERT INTO rewards_rewardrule"
            " (rule_type, threshold, points, is_active, starts_on, created_at, reason)"
            " VALUES ('DAILY_LOGIN', 1, 10, true, '2026-11-18', now(), 'planted')"
        ],
        {"I9"},
    ),
    "I10": (
        [
            "INSERT INTO rewards_rewardrule"
            " (rule_type, threshold, points, is_active, starts_on, created_at, reason)"
            " VALUES ('DAILY_LOGIN', 1, 10, true, '2025-12-31', now(), 'planted')",
            "UPDATE rewards_scorehistory SET rule_id = (SELECT max(id) FROM rewards_rewardrule)"
            " WHERE reference_date = '2026-11-16' AND rule_type = 'DAILY_LOGIN'"
            f" AND user_id = {BO}",
        ],
        {"I9", "I10"},
    ),
    # A host who did nothing on Tuesday has an award of it.
    "I11 phantom": (
        [
            COPY_OF_AN_AWARD.format(user=BO, date="date '2026-11-17'"),
            f"UPDATE rewards_score SET lifetime = lifetime + 10, weekly = weekly + 10"
            f" WHERE user_id = {BO}",
        ],
        {"I11", "I13", "I15"},
    ),
    "I11 too much measured": (
        [UPDATE.format("user_id = " + BO) + " AND rule_type = 'DAILY_LOGIN'"],
        {"I3", "I5", "I11"},
    ),
    "I11 phantom week": (
        [
            "UPDATE rewards_scorehistory SET user_id = " + BO + " WHERE rule_type ="
            " 'WEEKLY_CONSISTENCY'"
        ],
        {"I3", "I5", "I11"},
    ),
    "I11 missed": (
        [
            "DELETE FROM rewards_scorehistory WHERE reference_date = '2026-11-17'",
            "UPDATE rewards_score SET lifetime = lifetime - 35, weekly = weekly - 35"
            f" WHERE user_id <> {BO}",
        ],
        {"I11", "I13"},
    ),
    "I11 missed week": (
        [
            "DELETE FROM rewards_scorehistory WHERE rule_type = 'WEEKLY_CONSISTENCY'",
            "UPDATE rewards_score SET lifetime = lifetime - 100, weekly = weekly - 100"
            f" WHERE user_id <> {BO}",
        ],
        {"I11", "I13"},
    ),
    "I13 run": (["UPDATE rewards_awardrun SET awards = awards + 1"], {"I13"}),
    "I13 batch": (["UPDATE rewards_awardbatch SET points = points + 1"], {"I13"}),
    "I14": (
        ["UPDATE rewards_awardrun SET finished_at = started_at - interval '1 second'"],
        {"I14"},
    ),
    "I14 no end": (
        [
            DROP.format("awardrun", "awardrun", "status_matches_its_end"),
            "UPDATE rewards_awardrun SET finished_at = NULL",
        ],
        {"I14"},
    ),
    "I16 day": (
        [
            "UPDATE rewards_activityevent SET occurred_at = occurred_at + interval '12 hours',"
            " received_at = received_at + interval '12 hours'"
        ],
        {"I16"},
    ),
    "I16 future": (
        ["UPDATE rewards_activityevent SET received_at = occurred_at - interval '6 minutes'"],
        {"I16"},
    ),
    "I16 no id": (
        [
            DROP.format("activityevent", "activityevent", "has_an_id"),
            "UPDATE rewards_activityevent SET event_id = '' WHERE id ="
            " (SELECT min(id) FROM rewards_activityevent)",
        ],
        {"I16"},
    ),
    "I16 longer than a day, by a constraint that lets it be": (
        [
            DROP.format("activityevent", "activityevent", "lasts_a_day_at_most"),
            "ALTER TABLE rewards_activityevent ADD CONSTRAINT"
            " rewards_activityevent_lasts_a_day_at_most CHECK (duration_seconds >= 0)",
            "UPDATE rewards_activityevent SET duration_seconds = 90000 WHERE kind = 'login'",
        ],
        {"I16"},
    ),
    "I16 longer than a day": (
        [
            DROP.format("activityevent", "activityevent", "lasts_a_day_at_most"),
            "UPDATE rewards_activityevent SET duration_seconds = 90000 WHERE kind = 'login'",
        ],
        {"I16"},
    ),
    "I19": (["UPDATE rewards_score SET lifetime = lifetime * 2"], {"I3", "I19"}),
    "I20 names": (
        [
            "ALTER TABLE rewards_scorehistory"
            " DISABLE TRIGGER rewards_scorehistory_names_run_and_rule"
        ],
        {"I20"},
    ),
    "I20 guard": (["ALTER TABLE rewards_rewardrule DISABLE TRIGGER USER"], {"I20"}),
    "I20": (
        [
            "ALTER TABLE rewards_scorehistory ADD CONSTRAINT cascading"
            " FOREIGN KEY (user_id) REFERENCES rewards_user ON DELETE CASCADE"
        ],
        {"I20"},
    ),
    "D1 count": (
        ["UPDATE rewards_dailyactivity SET logins = logins + 1 WHERE date = '2026-11-22'"],
        {"D1"},
    ),
    "D1 seconds": (
        [
            "UPDATE rewards_dailyactivity SET audio_seconds = audio_seconds + 1"
            " WHERE audio_calls > 0"
        ],
        {"D1"},
    ),
    "D1 kind": (
        [
            "UPDATE rewards_activityevent SET kind = 'video_call'"
            " WHERE kind = 'audio_call' AND business_date = '2026-11-22'"
        ],
        {"D1"},
    ),
    "D1 a second for a call": (
        [
            "UPDATE rewards_dailyactivity SET audio_calls = audio_calls + 1,"
            " audio_seconds = audio_seconds - 1 WHERE date = '2026-11-22'"
        ],
        {"D1"},
    ),
    "D1 many seconds for a call": (
        [
            "INSERT INTO rewards_activityevent"
            " (source, event_id, user_id, kind, occurred_at, duration_seconds, business_date)"
            f" SELECT 'test', n, {BO}, 'audio_call', '2026-11-22T12:00:00Z', 86400, '2026-11-22'"
            " FROM generate_series(1, 12) AS n",
            "INSERT INTO rewards_dailyactivity (user_id, date, logins, audio_calls, video_calls,"
            f" audio_seconds, video_seconds) VALUES ({BO}, '2026-11-22', 0, 13, 0, 36797, 0)",
        ],
        {"D1"},
    ),
    "D1 a day of nothing": (
        [
            "ALTER TABLE rewards_dailyactivity"
            " DROP CONSTRAINT rewards_dailyactivity_is_an_active_day",
            "INSERT INTO rewards_dailyactivity (user_id, date, logins, audio_calls, video_calls,"
            f" audio_seconds, video_seconds) VALUES ({BO}, '2026-11-22', 0, 0, 0, 0, 0)",
        ],
        {"D1"},
    ),
    "D1 no count": (
        [f"DELETE FROM rewards_dailyactivity WHERE user_id = {BO}"],
        {"D1", "I11"},
    ),
}


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_violation_is_found(world, name):
    statements, expected = PLANTS[name]

    plant(*statements)

    assert broken() == expected


def test_scores_of_an_older_period_than_others_are_looked_at_one_by_one(world):
    _, bo = world
    Score.objects.filter(user=bo).update(
        daily=10, daily_date=A_MONDAY, weekly=10, week_start=A_MONDAY
    )
    assert broken() == set()

    Score.objects.filter(user=bo).update(daily=9)
    assert broken() == {"I4"}

    Score.objects.filter(user=bo).update(daily=9, weekly=9)
    assert broken() == {"I4", "I5"}


def test_counts_that_agree_in_number_only_are_found(world):
    ana, bo = world
    tuesdays = DailyActivity.objects.filter(date=TUESDAY)
    assert tuesdays.get().user == ana

    tuesdays.update(user=bo)

    assert "D1" in broken()


def test_numbers_as_large_as_can_be_stored_are_compared(world):
    ana, _ = world
    huge = 2**62
    Score.objects.filter(user=ana).update(lifetime=huge, daily=huge, weekly=huge)
    calls = 1_000_000
    DailyActivity.objects.filter(date=TUESDAY).update(
        audio_calls=calls, audio_seconds=86_400 * calls
    )

    assert broken() == {"I3", "I4", "I5", "I19", "D1"}


def test_more_seconds_than_a_number_of_them_holds_are_compared(world):
    ana, _ = world
    calls = 25_000
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO rewards_activityevent
                (source, event_id, user_id, kind, occurred_at, duration_seconds, business_date)
            SELECT 'test', 'long-' || n, %s, 'video_call', '2026-11-17T12:00:00Z', 86400,
                '2026-11-17'
            FROM generate_series(1, %s) AS n
            """,
            [ana.pk, calls],
        )
    tuesday = DailyActivity.objects.filter(user=ana, date=TUESDAY)
    tuesday.update(video_calls=calls, video_seconds=calls * 86_400)
    assert broken() == set()

    tuesday.update(video_seconds=F("video_seconds") - 1)

    assert broken() == {"D1"}


def test_negative_seconds_are_found_and_do_not_keep_the_rest_from_being_said(world):
    plant(
        "ALTER TABLE rewards_dailyactivity DROP CONSTRAINT"
        " rewards_dailyactivity_audio_seconds_check",
        f"UPDATE rewards_dailyactivity SET audio_seconds = {-(2**62)} WHERE date = '2026-11-17'",
    )

    assert broken() == {"D1"}


def test_the_constraints_of_events_are_recognised():
    """Otherwise every event would be looked at a second time."""
    with connection.cursor() as cursor:
        cursor.execute(verify.activity.READINGS["checked"])

        assert cursor.fetchall() == [(True,)]


def test_seconds_of_a_login_count_for_nothing(world):
    ActivityEvent.objects.filter(kind=ActivityKind.LOGIN).update(duration_seconds=5)

    assert broken() == set()


def test_a_gap_between_finished_runs_is_found(world):
    act(world[1], A_MONDAY - timedelta(days=3))
    act(world[1], A_MONDAY - timedelta(days=5))
    award_day(A_MONDAY - timedelta(days=5))

    assert broken() == {"I12"}

    award_day(A_MONDAY - timedelta(days=3))
    assert broken() == set()


def test_an_award_of_a_day_to_come_is_found(world):
    assert {each.name for each in verify_ledger(today=A_MONDAY) if each.violations} == {
        "I6",
        "I15",
    }


def test_every_invariant_has_its_plant():
    elsewhere = {"I12", "I15"}

    assert {name.split()[0] for name in PLANTS} | elsewhere == {
        each.name for each in verify.INVARIANTS
    }


def test_activity_that_came_late_is_no_violation_until_a_run_has_seen_it(world):
    act(world[1], TUESDAY)

    assert broken() == set()

    award_day(TUESDAY)
    assert broken() == set()
    assert ScoreHistory.objects.filter(user=world[1]).count() == 2


def test_a_host_who_left_is_missed_by_nobody_and_keeps_what_was_paid(world):
    world[0].left_on = TUESDAY
    world[0].save()
    act(world[0], A_MONDAY + timedelta(days=7))
    award_day(A_MONDAY + timedelta(days=7))

    assert broken() == set()


def test_a_rule_written_after_the_run_is_no_violation_until_the_next_one(world):
    act(world[1], TUESDAY, ActivityKind.VIDEO_CALL)
    award_day(TUESDAY)
    RewardRuleFactory(rule_type=RuleType.DAILY_VIDEO_CALL_TARGET)

    assert broken() == set()

    award_day(TUESDAY)
    assert broken() == set()
    assert ScoreHistory.objects.filter(rule_type="DAILY_VIDEO_CALL_TARGET").count() == 1


def test_a_day_begins_where_its_zone_says(settings):
    """Where clocks go back across midnight, what the wall shows is not what decides."""
    settings.REWARDS_TIME_ZONE = "America/Los_Angeles"
    RewardRuleFactory()
    host = HostFactory()
    evening = datetime(2026, 11, 17, 7, 59, tzinfo=UTC)
    ActivityEventFactory(
        user=host, occurred_at=evening, received_at=evening, business_date=A_MONDAY
    )
    DailyActivity.objects.create(user=host, date=A_MONDAY, logins=1)

    assert broken() == set()

    plant("UPDATE rewards_activityevent SET occurred_at = occurred_at + interval '1 minute'")
    assert broken() == {"I16"}


# --- Repair ------------------------------------------------------------------------------------


def everything_but_scores():
    return [
        list(model.objects.order_by("pk").values())
        for model in (ScoreHistory, AwardRun, DailyActivity, ActivityEvent)
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE rewards_score SET lifetime = lifetime + 7",
        "UPDATE rewards_score SET daily = 0, weekly = 0",
        "DELETE FROM rewards_score",
        f"DELETE FROM rewards_score WHERE user_id = {BO}",
        "UPDATE rewards_score SET daily_date = '2026-11-30', week_start = '2026-11-30'",
    ],
)
def test_scores_are_rebuilt_from_the_ledger_and_nothing_else_is_touched(world, statement):
    sound, rest = list(Score.objects.order_by("pk").values()), everything_but_scores()
    plant(statement)
    damaged = list(Score.objects.order_by("pk").values())

    rehearsal = scores.repair_scores(is_dry_run=True)
    after_rehearsal = list(Score.objects.order_by("pk").values())
    repair = scores.repair_scores()

    assert after_rehearsal == damaged != sound
    assert list(Score.objects.order_by("pk").values()) == sound
    assert everything_but_scores() == rest
    assert rehearsal == repair
    assert repair.scores >= 1
    assert scores.repair_scores().scores == 0


def test_a_repair_says_whose_score_was_what(world):
    plant(f"UPDATE rewards_score SET lifetime = 17 WHERE user_id = {BO}")

    assert scores.repair_scores().examples == ["bo: lifetime 17 -> 10, daily 0, weekly 10"]


def test_a_score_without_awards_is_emptied():
    Score.objects.create(user=HostFactory(), lifetime=5, daily_date=A_MONDAY, week_start=A_MONDAY)

    assert scores.repair_scores().scores == 1
    assert Score.objects.get().lifetime == 0
