"""Every invariant finds the violations planted for it, and no other invariant does."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from django.db import transaction

from rewards.reports.verify.verification import INVARIANTS, verify_ledger
from tests.reports.awarded_week import TODAY, create_awarded_week, damage


@pytest.fixture(scope="module")
def _awarded_week(django_db_setup, django_db_blocker) -> Iterator[None]:
    """The same week for all tests of this module; each of them rolls back its own changes."""
    with django_db_blocker.unblock(), transaction.atomic():
        create_awarded_week()
        yield
        transaction.set_rollback(True)


class Plant(NamedTuple):
    name: str
    statements: list[str]
    broken: set[str]
    violation: str
    """A pattern that one violation matches, of the invariant that begins the name."""


ANA = "(SELECT id FROM rewards_user WHERE external_id = 'ana')"
BO = "(SELECT id FROM rewards_user WHERE external_id = 'bo')"


def drop(table: str, name: str) -> str:
    return f"ALTER TABLE rewards_{table} DROP CONSTRAINT rewards_{table}_{name}"


def copy_of_award(user: str, reference_date: str, rule_type: str = "DAILY_LOGIN") -> str:
    """Copy Ana's award of the Monday."""
    return f"""
        INSERT INTO rewards_scorehistory
            (user_id, rule_type, reference_date, points, rule_id, measured, threshold, run_id)
        SELECT {user}, rule_type, {reference_date}, points, rule_id, measured, threshold, run_id
        FROM rewards_scorehistory
        WHERE reference_date = '2026-11-16' AND rule_type = '{rule_type}' AND user_id = {ANA}
    """


def version(starts_on: str, rule_type: str = "DAILY_LOGIN") -> str:
    """Write a version like the one in force, from another day on."""
    return f"""
        INSERT INTO rewards_rewardrule
            (rule_type, threshold, points, is_active, starts_on, created_at, reason)
        SELECT rule_type, threshold, points, true, '{starts_on}', now(), 'planted'
        FROM rewards_rewardrule WHERE rule_type = '{rule_type}'
    """


def score(points: int, user: str) -> str:
    """Keep a score in step with a planted change of the ledger."""
    return (
        f"UPDATE rewards_score SET lifetime = lifetime + {points}, weekly = weekly + {points}"
        f" WHERE user_id = {user}"
    )


def undo(award: str, *, points: str, run: str) -> str:
    return f"""
        INSERT INTO rewards_scorehistory (user_id, rule_type, reference_date, entry, points,
            rule_id, measured, threshold, run_id)
        SELECT user_id, rule_type, reference_date, entry + 1, {points}, rule_id, measured,
            threshold, (SELECT id FROM rewards_awardrun WHERE {run})
        FROM rewards_scorehistory WHERE {award}
    """


A_TUESDAY_LOGIN = "reference_date = '2026-11-17' AND rule_type = 'DAILY_LOGIN'"
LIVE_MONDAY = "UPDATE rewards_awardrun SET kind = 'live', attempt = 0"
MONDAY_RUN = "reference_date = '2026-11-16' AND cadence = 'daily'"
DELETE_TUESDAY = "DELETE FROM rewards_scorehistory WHERE reference_date = '2026-11-17'"
DELETE_WEEK = "DELETE FROM rewards_scorehistory WHERE rule_type = 'WEEKLY_CONSISTENCY'"
ONCE = drop("scorehistory", "award_once")
TUESDAY = "UPDATE rewards_scorehistory SET {} WHERE reference_date = '2026-11-17'"
WEEKLY_RULE = "UPDATE rewards_rewardrule SET {} WHERE rule_type = 'WEEKLY_CONSISTENCY'"
LOGIN_RULE = "UPDATE rewards_rewardrule SET {} WHERE rule_type = 'DAILY_LOGIN'"
USER_KEY = """
    DO $$
    DECLARE key text;
    BEGIN
        SELECT conname INTO key FROM pg_constraint WHERE contype = 'f'
        AND conrelid = 'rewards_scorehistory'::regclass AND confrelid = 'rewards_user'::regclass;
        EXECUTE format('ALTER TABLE rewards_scorehistory DROP CONSTRAINT %I', key);
    END $$
"""
NEW_USER_KEY = (
    "ALTER TABLE rewards_scorehistory ADD CONSTRAINT planted"
    " FOREIGN KEY (user_id) REFERENCES rewards_user {}"
)
APPEND_ONLY = "rewards_scorehistory_is_append_only"
REFUSE = "EXECUTE FUNCTION rewards_refuse_ledger_change()"
LONG_LOGIN = "UPDATE rewards_activityevent SET duration_seconds = 90000 WHERE kind = 'login'"
ACTIVITY = (
    "INSERT INTO rewards_dailyactivity (user_id, date, logins, audio_calls, video_calls,"
    " audio_seconds, video_seconds) VALUES ({}, '2026-11-22', {})"
)

PLANTS = [
    # No score has the second award, and its run did not count it.
    Plant(
        "I1",
        [ONCE, copy_of_award("user_id", "reference_date")],
        {"I1", "I2", "I3", "I5", "I13", "I19"},
        r"host ana has entry 0 of DAILY_LOGIN for 2026-11-16 twice",
    ),
    Plant(
        "I1 entry without the one before",
        [TUESDAY.format("entry = 2")],
        {"I1"},
        r"host ana: entry 2 of DAILY_LOGIN for 2026-11-17 does not follow the one before it",
    ),
    Plant(
        "I1 undo of other points",
        [
            drop("scorehistory", "points_fit"),
            undo(A_TUESDAY_LOGIN, points="-9", run=MONDAY_RUN.replace("16", "17")),
        ],
        {"I1", "I3", "I5", "I9", "I13", "I19"},
        r"host ana: entry 1 of DAILY_LOGIN for 2026-11-17 does not follow the one before it",
    ),
    Plant(
        "I1 award with the sign of an undo",
        [
            drop("scorehistory", "entry_matches_its_sign"),
            TUESDAY.format("points = -points"),
        ],
        {"I1", "I3", "I5", "I13", "I19"},
        r"host ana: entry 0 of DAILY_\w+ for 2026-11-17 does not follow the one before it",
    ),
    Plant(
        "I2 missing",
        [ONCE],
        {"I2"},
        r"the constraint rewards_scorehistory_award_once is missing, invalid or deferrable",
    ),
    Plant(
        "I2 deferrable",
        [
            ONCE,
            "ALTER TABLE rewards_scorehistory ADD CONSTRAINT rewards_scorehistory_award_once"
            " UNIQUE (reference_date, user_id, rule_type) DEFERRABLE",
        ],
        {"I2"},
        "",
    ),
    Plant(
        "I2 invalid",
        [
            "UPDATE pg_index SET indisvalid = false"
            " WHERE indexrelid = 'rewards_scorehistory_award_once'::regclass"
        ],
        {"I2"},
        "",
    ),
    Plant(
        "I3",
        ["UPDATE rewards_score SET lifetime = lifetime + 1"],
        {"I3", "I19"},
        r"host ana: lifetime 346 points, ledger 345",
    ),
    # The sum of all scores is unchanged.
    Plant(
        "I3 two scores",
        [
            f"UPDATE rewards_score SET lifetime = lifetime + 1 WHERE user_id = {BO}",
            f"UPDATE rewards_score SET lifetime = lifetime - 1 WHERE user_id <> {BO}",
        ],
        {"I3"},
        r"host bo: lifetime 11 points, ledger 10",
    ),
    Plant(
        "I3 missing",
        ["DELETE FROM rewards_score"],
        {"I3", "I19"},
        r"host ana: lifetime 0 points, ledger 345",
    ),
    Plant(
        "I3 without awards",
        [
            "INSERT INTO rewards_user (external_id, username, password, is_host, is_active,"
            " is_staff, is_superuser, first_name, last_name, email, date_joined)"
            " VALUES ('cleo', 'cleo', '!', true, true, false, false, '', '', '', now())",
            "INSERT INTO rewards_score (user_id, lifetime, daily, daily_date, weekly, week_start)"
            " SELECT id, 7, 0, '2026-11-22', 0, '2026-11-16'"
            " FROM rewards_user WHERE external_id = 'cleo'",
        ],
        {"I3", "I19"},
        r"host cleo: lifetime 7 points, ledger 0",
    ),
    Plant(
        "I4",
        ["UPDATE rewards_score SET daily = daily + 1 WHERE daily > 0"],
        {"I4"},
        r"host ana on 2026-11-22: daily 36 points, ledger 35",
    ),
    Plant(
        "I4 without awards",
        [f"UPDATE rewards_score SET daily = 1 WHERE user_id = {BO}"],
        {"I4"},
        "",
    ),
    Plant(
        "I5",
        ["UPDATE rewards_score SET weekly = weekly - 1"],
        {"I5"},
        r"host bo in the week of 2026-11-16: weekly 9 points, ledger 10",
    ),
    Plant(
        "I6 future day",
        ["UPDATE rewards_score SET daily_date = '2026-11-25', daily = 0"],
        {"I6"},
        r"host bo: daily score of 2026-11-25, weekly score of 2026-11-16",
    ),
    Plant(
        "I6 future week",
        ["UPDATE rewards_score SET week_start = '2026-11-30', weekly = 0"],
        {"I6"},
        r"host bo: daily score of 2026-11-22, weekly score of 2026-11-30",
    ),
    Plant(
        "I6 no Monday",
        [
            drop("score", "week_begins_on_monday"),
            f"UPDATE rewards_score SET week_start = '2026-11-15' WHERE user_id = {BO}",
        ],
        {"I6"},
        "",
    ),
    *(
        Plant(f"I7 {name}", statements, {"I7"}, f"the trigger {APPEND_ONLY} is missing, .*")
        for name, statements in {
            "disabled": [f"ALTER TABLE rewards_scorehistory DISABLE TRIGGER {APPEND_ONLY}"],
            "for replicas only": [
                f"ALTER TABLE rewards_scorehistory ENABLE REPLICA TRIGGER {APPEND_ONLY}"
            ],
            "missing": [f"DROP TRIGGER {APPEND_ONLY} ON rewards_scorehistory"],
            "without truncate": [
                f"DROP TRIGGER {APPEND_ONLY} ON rewards_scorehistory",
                f"CREATE TRIGGER {APPEND_ONLY} BEFORE UPDATE OR DELETE ON rewards_scorehistory"
                f" FOR EACH STATEMENT {REFUSE}",
            ],
            "on another table": [
                f"DROP TRIGGER {APPEND_ONLY} ON rewards_scorehistory",
                f"CREATE TRIGGER {APPEND_ONLY} BEFORE UPDATE OR DELETE OR TRUNCATE"
                f" ON rewards_score FOR EACH STATEMENT {REFUSE}",
            ],
        }.items()
    ),
    Plant(
        "I9 other points",
        [LOGIN_RULE.format("points = 11")],
        {"I9"},
        r"1 ledger row of DAILY_LOGIN for 2026-11-\d+ by run \d+ and rule version \d+: points 10, "
        r"threshold 1, lowest count 1",
    ),
    Plant(
        "I9 other threshold",
        [WEEKLY_RULE.format("threshold = 6")],
        {"I9"},
        r"1 ledger row of WEEKLY_CONSISTENCY for .* threshold 7, lowest count 7",
    ),
    Plant(
        "I9 count below the threshold",
        [drop("scorehistory", "was_earned"), TUESDAY.format("measured = 0")],
        {"I9"},
        r"1 ledger row of DAILY_\w+ for 2026-11-17 .* threshold 1, lowest count 0",
    ),
    Plant(
        "I9 type of another rule",
        [
            "UPDATE rewards_scorehistory SET rule_type = 'DAILY_VIDEO_CALL_TARGET'"
            " WHERE reference_date = '2026-11-17' AND rule_type = 'DAILY_LOGIN'"
        ],
        {"I9", "I11"},
        r"1 ledger row of DAILY_VIDEO_CALL_TARGET for 2026-11-17 .*",
    ),
    Plant(
        "I9 run missing",
        [TUESDAY.format("run_id = 999999")],
        {"I9", "I13"},
        r"1 ledger row of DAILY_LOGIN for 2026-11-17 by run 999999 .*",
    ),
    Plant(
        "I9 rule missing",
        [TUESDAY.format("rule_id = 999999")],
        {"I9"},
        r"1 ledger row of DAILY_LOGIN for 2026-11-17 by run \d+ and rule version 999999: .*",
    ),
    Plant("I9 rule paused", [WEEKLY_RULE.format("is_active = false")], {"I9"}, ""),
    Plant(
        "I9 rule not in force yet",
        [LOGIN_RULE.format("starts_on = '2026-11-17'")],
        {"I9"},
        r"2 ledger rows of DAILY_LOGIN for 2026-11-16 .*",
    ),
    Plant("I9 rule replaced", [version("2026-11-18")], {"I9"}, ""),
    # A week is paid by the version of its Sunday.
    Plant(
        "I9 weekly rule not in force yet",
        [WEEKLY_RULE.format("starts_on = '2026-11-23'")],
        {"I9"},
        "",
    ),
    Plant("I9 weekly rule replaced", [version("2026-11-22", "WEEKLY_CONSISTENCY")], {"I9"}, ""),
    Plant(
        "I10",
        [
            version("2025-12-31"),
            "UPDATE rewards_scorehistory SET rule_id = (SELECT max(id) FROM rewards_rewardrule)"
            f" WHERE reference_date = '2026-11-16' AND rule_type = 'DAILY_LOGIN'"
            f" AND user_id = {BO}",
        ],
        {"I9", "I10"},
        r"run \d+ has paid DAILY_LOGIN by 2 rule versions",
    ),
    # Bo has an award of a day without activity.
    Plant(
        "I11 phantom",
        [copy_of_award(BO, "date '2026-11-17'"), score(10, BO)],
        {"I11", "I13", "I15"},
        r"host bo has an award of DAILY_LOGIN for 2026-11-17 for a count of 1, its activity has 0",
    ),
    # Bo has logins on Monday, and no call.
    Plant(
        "I11 phantom of another metric",
        [copy_of_award(BO, "reference_date", "DAILY_AUDIO_CALL_TARGET"), score(25, BO)],
        {"I11", "I13"},
        r"host bo has an award of DAILY_AUDIO_CALL_TARGET for 2026-11-16 for a count of 1, .* 0",
    ),
    Plant(
        "I11 award of another host",
        [f"{TUESDAY.format(f'user_id = {BO}')} AND rule_type = 'DAILY_LOGIN'"],
        {"I3", "I5", "I11"},
        r"host ana has earned DAILY_LOGIN for 2026-11-17 and has no award",
    ),
    Plant(
        "I11 week of another host",
        [f"UPDATE rewards_scorehistory SET user_id = {BO} WHERE rule_type = 'WEEKLY_CONSISTENCY'"],
        {"I3", "I5", "I11"},
        r"host bo has an award of WEEKLY_CONSISTENCY for 2026-11-16 for a count of 7, .* has 1",
    ),
    Plant(
        "I11 missed",
        [DELETE_TUESDAY, score(-35, ANA)],
        {"I11", "I13"},
        r"host ana has earned DAILY_AUDIO_CALL_TARGET for 2026-11-17 and has no award",
    ),
    Plant(
        "I11 missed on the last eligible day",
        [
            "UPDATE rewards_user SET left_on = '2026-11-17' WHERE external_id = 'ana'",
            DELETE_TUESDAY,
            score(-35, ANA),
        ],
        {"I11", "I13"},
        r"host ana has earned DAILY_LOGIN for 2026-11-17 and has no award",
    ),
    Plant(
        "I11 missed week",
        [DELETE_WEEK, score(-100, ANA)],
        {"I11", "I13"},
        r"host ana has earned WEEKLY_CONSISTENCY for 2026-11-16 and has no award",
    ),
    Plant(
        "I11 missed week on the last eligible day",
        [
            "UPDATE rewards_user SET left_on = '2026-11-22' WHERE external_id = 'ana'",
            DELETE_WEEK,
            score(-100, ANA),
        ],
        {"I11", "I13"},
        "",
    ),
    # Not I11: the host was not eligible any more, or no run has seen all activity by this rule.
    Plant(
        "I13 no award after the last eligible day",
        [
            "UPDATE rewards_user SET left_on = '2026-11-16' WHERE external_id = 'ana'",
            DELETE_TUESDAY,
            score(-35, ANA),
        ],
        {"I13"},
        "",
    ),
    Plant(
        "I13 no weekly award after the last eligible day",
        [
            "UPDATE rewards_user SET left_on = '2026-11-21' WHERE external_id = 'ana'",
            DELETE_WEEK,
            score(-100, ANA),
        ],
        {"I13"},
        "",
    ),
    Plant(
        "I13 no award of a user who is no host",
        [
            "UPDATE rewards_user SET is_host = false WHERE external_id = 'ana'",
            DELETE_TUESDAY,
            score(-35, ANA),
        ],
        {"I13"},
        "",
    ),
    Plant(
        "I13 no award of late activity",
        [
            "UPDATE rewards_awardrun SET events_seen = events_seen - 1"
            " WHERE reference_date = '2026-11-17'",
            DELETE_TUESDAY,
            score(-35, ANA),
        ],
        {"I13"},
        "",
    ),
    Plant(
        "I13 no award by a rule that the run did not know",
        [
            "UPDATE rewards_awardrun SET rule_versions = '[]' WHERE reference_date = '2026-11-17'",
            DELETE_TUESDAY,
            score(-35, ANA),
        ],
        {"I13"},
        "",
    ),
    Plant(
        "I12",
        [
            "UPDATE rewards_awardrun SET status = 'failed' WHERE reference_date = '2026-11-18'",
        ],
        {"I12"},
        r"2026-11-18 has activity and no daily run that is done",
    ),
    Plant(
        "I13 awards of a run",
        [f"UPDATE rewards_awardrun SET awards = awards + 1 WHERE {MONDAY_RUN}"],
        {"I13"},
        r"run \d+: 4 awards and 45 points in the journal, 3 and 45 in its batches, "
        r"3 and 45 in the ledger",
    ),
    Plant("I13 points of a run", ["UPDATE rewards_awardrun SET points = points + 1"], {"I13"}, ""),
    Plant(
        "I13 awards of a batch", ["UPDATE rewards_awardbatch SET awards = awards + 1"], {"I13"}, ""
    ),
    Plant(
        "I13 points of a batch",
        [
            "UPDATE rewards_awardbatch SET points = points + 1 WHERE run_id ="
            f" (SELECT id FROM rewards_awardrun WHERE {MONDAY_RUN})"
        ],
        {"I13"},
        r"run \d+: 3 awards and 45 points in the journal, 3 and 46 in its batches, .*",
    ),
    Plant(
        "I14 end before the start",
        [
            "UPDATE rewards_awardrun SET finished_at = started_at - interval '1 second'"
            f" WHERE {MONDAY_RUN}"
        ],
        {"I14"},
        r"run \d+, daily of 2026-11-16: done, started at [-\d]+T.*, finished at .*",
    ),
    Plant(
        "I14 no end",
        [
            drop("awardrun", "status_matches_its_end"),
            f"UPDATE rewards_awardrun SET finished_at = NULL WHERE {MONDAY_RUN}",
        ],
        {"I14"},
        r"run \d+, daily of 2026-11-16: done, .*, finished at None",
    ),
    Plant(
        "I14 no Monday",
        [
            drop("awardrun", "week_begins_on_monday"),
            drop("scorehistory", "week_begins_on_monday"),
            "UPDATE rewards_awardrun SET reference_date = '2026-11-17' WHERE cadence = 'weekly'",
            "UPDATE rewards_scorehistory SET reference_date = '2026-11-17'"
            " WHERE rule_type = 'WEEKLY_CONSISTENCY'",
        ],
        {"I11", "I14"},
        r"run \d+, weekly of 2026-11-17: .*",
    ),
    Plant(
        "I15 date of another run",
        [
            "UPDATE rewards_scorehistory SET run_id = (SELECT max(id) FROM rewards_awardrun"
            " WHERE reference_date = '2026-11-18') WHERE reference_date = '2026-11-17'",
        ],
        {"I13", "I15"},
        r"1 ledger row of DAILY_LOGIN for 2026-11-17 by run \d+, the daily run of 2026-11-18",
    ),
    Plant(
        "I15 cadence of another run",
        [
            "UPDATE rewards_scorehistory SET run_id = (SELECT max(id) FROM rewards_awardrun"
            " WHERE reference_date = '2026-11-16' AND cadence = 'daily')"
            " WHERE rule_type = 'WEEKLY_CONSISTENCY'",
        ],
        {"I13", "I15"},
        r"1 ledger row of WEEKLY_CONSISTENCY for 2026-11-16 by run \d+, the daily run of .*-16",
    ),
    Plant(
        "I16 day",
        [
            "UPDATE rewards_activityevent SET occurred_at = occurred_at + interval '12 hours',"
            " received_at = received_at + interval '12 hours'"
        ],
        {"I16"},
        r"event app:event-\d+ of 2026-11-\d+: \w+ of \d+ s, "
        r"occurred at 2026-11-\d+T00:00:00\+00:00, received at .*",
    ),
    Plant(
        "I16 day before",
        [
            "UPDATE rewards_activityevent SET occurred_at = business_date - interval '1 second'"
            " WHERE business_date = '2026-11-18'"
        ],
        {"I16"},
        "",
    ),
    Plant(
        "I21",
        [
            LIVE_MONDAY + ", started_at = '2026-11-16 10:00Z', finished_at = '2026-11-16 11:59Z'"
            f" WHERE {MONDAY_RUN}",
            "UPDATE rewards_scorehistory SET created_at = '2026-11-16 12:00Z'",
        ],
        {"I21"},
        r"\d ledger rows? of DAILY_\w+ for 2026-11-16 by run \d+, written at 2026-11-16T12:00.*",
    ),
    *(
        Plant(
            f"I23 written at {at}",
            [
                f"{LIVE_MONDAY} WHERE {MONDAY_RUN}",
                f"UPDATE rewards_scorehistory SET created_at = '{at}Z'",
            ],
            {"I23"},
            r"\d ledger rows? of DAILY_\w+ for 2026-11-16 by run \d+, written .*",
        )
        for at in ("2026-11-17 00:05", "2026-11-15 23:54:59")
    ),
    Plant(
        "I16 received too early",
        ["UPDATE rewards_activityevent SET received_at = occurred_at - interval '6 minutes'"],
        {"I16"},
        "",
    ),
    Plant(
        "I16 no id",
        [
            drop("activityevent", "has_an_id"),
            "UPDATE rewards_activityevent SET event_id = '' WHERE id ="
            " (SELECT min(id) FROM rewards_activityevent)",
        ],
        {"I16"},
        r"event app: of .*",
    ),
    Plant(
        "I16 longer than a day",
        [drop("activityevent", "lasts_a_day_at_most"), LONG_LOGIN],
        {"I16"},
        r"event .*: login of 90000 s, .*",
    ),
    Plant(
        "I16 longer than a day, other constraint",
        [
            drop("activityevent", "lasts_a_day_at_most"),
            "ALTER TABLE rewards_activityevent ADD CONSTRAINT"
            " rewards_activityevent_lasts_a_day_at_most CHECK (duration_seconds >= 0)",
            LONG_LOGIN,
        ],
        {"I16"},
        "",
    ),
    Plant(
        "I16 longer than a day, constraint not validated",
        [
            drop("activityevent", "lasts_a_day_at_most"),
            LONG_LOGIN,
            "ALTER TABLE rewards_activityevent ADD CONSTRAINT"
            " rewards_activityevent_lasts_a_day_at_most"
            " CHECK (duration_seconds >= 0 AND duration_seconds <= 86400) NOT VALID",
        ],
        {"I16"},
        "",
    ),
    Plant(
        "I19",
        ["UPDATE rewards_score SET lifetime = lifetime * 2"],
        {"I3", "I19"},
        r"all scores have 710 points, the ledger 355",
    ),
    Plant(
        "I20 reference of awards",
        [
            "ALTER TABLE rewards_scorehistory"
            " DISABLE TRIGGER rewards_scorehistory_names_run_and_rule"
        ],
        {"I20"},
        r"the trigger rewards_scorehistory_names_run_and_rule is missing or disabled",
    ),
    Plant(
        "I20 reference of awards, for replicas only",
        [
            "ALTER TABLE rewards_scorehistory"
            " ENABLE REPLICA TRIGGER rewards_scorehistory_names_run_and_rule"
        ],
        {"I20"},
        "",
    ),
    Plant(
        "I20 guard of rules",
        ["ALTER TABLE rewards_rewardrule DISABLE TRIGGER USER"],
        {"I20"},
        r"the trigger rewards_rewardrule_is_kept is missing or disabled",
    ),
    Plant("I20 guard of runs", ["ALTER TABLE rewards_awardrun DISABLE TRIGGER USER"], {"I20"}, ""),
    Plant("I20 no key", [USER_KEY], {"I20"}, r"the foreign key to the host is missing"),
    Plant(
        "I20 key to runs only",
        [
            USER_KEY,
            "ALTER TABLE rewards_scorehistory ADD CONSTRAINT planted"
            " FOREIGN KEY (run_id) REFERENCES rewards_awardrun",
        ],
        {"I20"},
        r"the foreign key to the host is missing",
    ),
    *(
        Plant(
            f"I20 key {options}",
            [USER_KEY, NEW_USER_KEY.format(options)],
            {"I20"},
            r"the foreign key planted deletes awards or is not validated",
        )
        for options in ("ON DELETE CASCADE", "ON DELETE SET NULL", "NOT VALID")
    ),
    Plant(
        "D1 count",
        ["UPDATE rewards_dailyactivity SET logins = logins + 1 WHERE date = '2026-11-22'"],
        {"D1"},
        r"host ana on 2026-11-22: counted 2 logins, 1 in events",
    ),
    Plant(
        "D1 seconds",
        [
            "UPDATE rewards_dailyactivity SET audio_seconds = audio_seconds + 1"
            " WHERE audio_calls > 0"
        ],
        {"D1"},
        r"host ana on 2026-11-16: counted 61 audio seconds, 60 in events",
    ),
    Plant(
        "D1 kind",
        [
            "UPDATE rewards_activityevent SET kind = 'video_call'"
            " WHERE kind = 'audio_call' AND business_date = '2026-11-22'"
        ],
        {"D1"},
        r"host ana on 2026-11-22: counted 1 audio call, 0 in events; "
        r"counted 0 video calls, 1 in events; counted 60 audio seconds, 0 in events; "
        r"counted 0 video seconds, 60 in events",
    ),
    Plant(
        "D1 one second less for a call",
        [
            "UPDATE rewards_dailyactivity SET audio_calls = audio_calls + 1,"
            " audio_seconds = audio_seconds - 1 WHERE date = '2026-11-22'"
        ],
        {"D1"},
        "",
    ),
    Plant(
        "D1 many seconds less for a call",
        [
            "INSERT INTO rewards_activityevent"
            " (source, event_id, user_id, kind, occurred_at, duration_seconds, business_date)"
            f" SELECT 'test', n, {BO}, 'audio_call', '2026-11-22T12:00:00Z', 86400, '2026-11-22'"
            " FROM generate_series(1, 12) AS n",
            ACTIVITY.format(BO, "0, 13, 0, 36797, 0"),
        ],
        {"D1"},
        r"host bo on 2026-11-22: counted 13 audio calls, 12 in events; .*",
    ),
    Plant(
        "D1 day without activity",
        [drop("dailyactivity", "is_an_active_day"), ACTIVITY.format(BO, "0, 0, 0, 0, 0")],
        {"D1"},
        r"host bo on 2026-11-22: stored as an active day without any activity",
    ),
    # Short calls are no activity.
    Plant(
        "D1 short call counted",
        [
            "UPDATE rewards_activityevent SET duration_seconds = 0"
            " WHERE kind = 'audio_call' AND business_date = '2026-11-22'"
        ],
        {"D1"},
        r"host ana on 2026-11-22: counted 1 audio call, 0 in events; .*",
    ),
    Plant(
        "D1 missing",
        [f"DELETE FROM rewards_dailyactivity WHERE user_id = {BO}"],
        {"D1", "I11"},
        r"host bo on 2026-11-16: counted 0 logins, 1 in events",
    ),
    Plant(
        "D1 of another host",
        [f"UPDATE rewards_dailyactivity SET user_id = {BO} WHERE date = '2026-11-22'"],
        {"D1", "I11"},
        "",
    ),
]


@pytest.mark.django_db  # or pytest-django makes no database for this file alone
@pytest.mark.usefixtures("_awarded_week")
@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_planted_violation_is_found(plant):
    with transaction.atomic():
        damage(*plant.statements)
        verification = verify_ledger(today=TODAY)
        transaction.set_rollback(True)

    assert set(verification.broken) == plant.broken
    name = plant.name.split()[0]
    (finding,) = [finding for finding in verification.findings if finding.name == name]
    found = finding.examples
    assert any(re.fullmatch(plant.violation, text) for text in found) or not plant.violation, found


def test_every_invariant_has_a_plant():
    assert {plant.name.split()[0] for plant in PLANTS} == set(INVARIANTS)
