"""What must always hold, as queries that return the rows that break it."""

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from django.conf import settings
from django.db import connection, transaction

from rewards.models.ledger import AWARD_ONCE

TRIGGER = "rewards_scorehistory_is_append_only"


class Invariant(NamedTuple):
    """A sentence that holds, how many rows it was asked of, and which rows break it."""

    name: str
    sentence: str
    checked: str
    """SQL that returns one number."""
    broken: str
    """SQL that returns a row for each violation; parameters %(today)s, %(zone)s, %(min)s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What asking one invariant came to."""

    name: str
    sentence: str
    checked: int
    violations: int
    examples: list[str]
    """The first few violations."""


_LEDGER = "SELECT count(*) FROM rewards_scorehistory"
_SCORES = "SELECT count(*) FROM rewards_score"
_RUNS = "SELECT count(*) FROM rewards_awardrun"
_EVENTS = "SELECT count(*) FROM rewards_activityevent"
_ONE = "SELECT 1"

_TRUE_SCORES = """
    SELECT s.user_id, coalesce(sum(h.points), 0) AS lifetime,
        coalesce(sum(h.points) FILTER (WHERE h.reference_date = s.daily_date), 0) AS daily,
        coalesce(sum(h.points) FILTER (
            WHERE h.reference_date BETWEEN s.week_start AND s.week_start + 6), 0) AS weekly
    FROM rewards_score s LEFT JOIN rewards_scorehistory h ON h.user_id = s.user_id
    GROUP BY s.user_id
"""

INVARIANTS = [
    Invariant(
        "I1",
        "at most one award for a host, rule type and reference date",
        _LEDGER,
        """SELECT user_id, rule_type, reference_date FROM rewards_scorehistory
        GROUP BY 1, 2, 3 HAVING count(*) > 1""",
    ),
    Invariant(
        "I2",
        "the constraint that says so exists, is valid and immediate",
        _ONE,
        f"""SELECT 'missing' WHERE NOT EXISTS (
            SELECT 1 FROM pg_constraint c JOIN pg_index i ON i.indexrelid = c.conindid
            WHERE c.conrelid = 'rewards_scorehistory'::regclass AND c.conname = '{AWARD_ONCE}'
            AND c.convalidated AND i.indisvalid AND NOT c.condeferrable)""",  # noqa: S608 - a constant
    ),
    Invariant(
        "I3",
        "lifetime is the sum of the ledger, for every host of either",
        _SCORES,
        """SELECT coalesce(s.user_id, l.user_id), s.lifetime, l.points FROM rewards_score s
        FULL JOIN (SELECT user_id, sum(points) AS points FROM rewards_scorehistory GROUP BY 1) l
        USING (user_id) WHERE s.lifetime IS DISTINCT FROM coalesce(l.points, 0)""",
    ),
    Invariant(
        "I4",
        "daily is the sum of the ledger of its day, weekly of its week (I5)",
        _SCORES,
        f"""SELECT s.user_id, s.daily, t.daily, s.weekly, t.weekly FROM rewards_score s
        JOIN ({_TRUE_SCORES}) t USING (user_id)
        WHERE s.daily <> t.daily OR s.weekly <> t.weekly""",  # noqa: S608 - a constant
    ),
    Invariant(
        "I6",
        "the periods of scores are neither in the future nor odd",
        _SCORES,
        """SELECT user_id, daily_date, week_start FROM rewards_score WHERE daily_date > %(today)s
        OR week_start > %(today)s OR extract(isodow FROM week_start) <> 1""",
    ),
    Invariant(
        "I7",
        "the ledger's triggers refuse update, delete and truncate",
        _ONE,
        f"""SELECT 'trigger off' WHERE NOT EXISTS (
            SELECT 1 FROM pg_trigger WHERE tgrelid = 'rewards_scorehistory'::regclass
            AND tgname = '{TRIGGER}' AND tgenabled IN ('O', 'A'))""",  # noqa: S608 - a constant
    ),
    Invariant(
        "I9",
        "every award is explained by its rule version and run",
        _LEDGER,
        """SELECT h.id FROM rewards_scorehistory h
        LEFT JOIN rewards_rewardrule v ON v.id = h.rule_id
        LEFT JOIN rewards_awardrun r ON r.id = h.run_id
        WHERE v.id IS NULL OR r.id IS NULL OR v.rule_type <> h.rule_type
        OR v.points <> h.points OR v.threshold <> h.threshold OR h.measured < h.threshold""",
    ),
    Invariant(
        "I10",
        "a run pays one version of each rule",
        _LEDGER,
        """SELECT run_id, rule_type FROM rewards_scorehistory
        GROUP BY 1, 2 HAVING count(DISTINCT rule_id) > 1""",
    ),
    Invariant(
        "I13",
        "a finished run counts exactly its rows",
        _RUNS,
        """SELECT r.id, r.awards, coalesce(h.awards, 0) FROM rewards_awardrun r
        LEFT JOIN (SELECT run_id, count(*) AS awards, sum(points) AS points
            FROM rewards_scorehistory GROUP BY 1) h ON h.run_id = r.id
        WHERE r.status <> 'running' AND (r.awards, r.points)
            IS DISTINCT FROM (coalesce(h.awards, 0), coalesce(h.points, 0))""",
    ),
    Invariant(
        "I14",
        "a run ends after it begins",
        _RUNS,
        "SELECT id FROM rewards_awardrun WHERE finished_at < started_at",
    ),
    Invariant(
        "I15",
        "awards are of days that have come, and of the date of their run",
        _LEDGER,
        """SELECT h.id FROM rewards_scorehistory h JOIN rewards_awardrun r ON r.id = h.run_id
        WHERE h.reference_date > %(today)s OR h.reference_date < date '2000-01-01'
        OR h.reference_date <> r.reference_date""",
    ),
    Invariant(
        "I16",
        "events lie on their business day",
        _EVENTS,
        """SELECT source, event_id FROM rewards_activityevent
        WHERE occurred_at > received_at + interval '5 min'
        OR business_date <> (occurred_at AT TIME ZONE %(zone)s)::date""",
    ),
    Invariant(
        "I20",
        "no deletion reaches the ledger",
        _ONE,
        # The foreign key to the host, and the triggers that stand for those to rule and run.
        """SELECT conname FROM pg_constraint
        WHERE contype = 'f' AND conrelid = 'rewards_scorehistory'::regclass
        AND (confdeltype NOT IN ('r', 'a') OR NOT convalidated)
        UNION ALL
        SELECT guard FROM unnest(ARRAY['rewards_scorehistory_names_run_and_rule',
            'rewards_awardrun_is_kept', 'rewards_awardrun_is_not_emptied',
            'rewards_rewardrule_is_kept', 'rewards_rewardrule_is_not_emptied']) AS guard
        WHERE NOT EXISTS (
            SELECT FROM pg_trigger WHERE tgname = guard AND tgenabled IN ('O', 'A'))""",
    ),
    Invariant(
        "D1",
        "daily activity is the count of its events",
        "SELECT count(*) FROM rewards_dailyactivity",
        """SELECT * FROM (
            SELECT user_id, business_date AS date,
                count(*) FILTER (WHERE kind = 'login') AS logins,
                count(*) FILTER (WHERE kind = 'audio_call') AS audio_calls,
                count(*) FILTER (WHERE kind = 'video_call') AS video_calls,
                coalesce(sum(duration_seconds) FILTER (WHERE kind = 'audio_call'), 0) AS audio,
                coalesce(sum(duration_seconds) FILTER (WHERE kind = 'video_call'), 0) AS video
            FROM rewards_activityevent
            WHERE kind = 'login' OR duration_seconds >= %(min)s
            GROUP BY 1, 2
        ) e FULL JOIN rewards_dailyactivity d USING (user_id, date)
        WHERE (e.logins, e.audio_calls, e.video_calls, e.audio, e.video) IS DISTINCT FROM
            (d.logins, d.audio_calls, d.video_calls, d.audio_seconds, d.video_seconds)""",
    ),
]


def verify_ledger(*, today: date) -> list[Finding]:
    """Ask every invariant of one consistent picture of the database; write nothing.

    `today` is the business day at hand. Each finding says how many rows were checked, since no
    coverage must never read as a pass.
    """
    values: dict[str, date | str | int] = {
        "today": today,
        "zone": settings.REWARDS_TIME_ZONE,
        "min": settings.REWARDS_MIN_CALL_SECONDS,
    }
    findings = []
    with transaction.atomic(), connection.cursor() as cursor:
        if not connection.savepoint_ids:  # the outermost transaction sets its own level
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        for invariant in INVARIANTS:
            cursor.execute(invariant.checked)
            (checked,) = cursor.fetchone()
            cursor.execute(invariant.broken, values)
            rows = cursor.fetchmany(5)
            violations = len(rows) if len(rows) < 5 else cursor.rowcount
            findings.append(
                Finding(
                    name=invariant.name,
                    sentence=invariant.sentence,
                    checked=checked,
                    violations=violations,
                    examples=[", ".join(str(value) for value in row) for row in rows],
                )
            )
    return findings


def repair_scores() -> int:
    """Rebuild the scores that differ from the ledger, each in its period; return how many."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE rewards_score, rewards_scorehistory IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(
            """
            INSERT INTO rewards_score (user_id, lifetime, daily, daily_date, weekly, week_start)
            SELECT DISTINCT h.user_id, 0, 0, latest.day, 0, date_trunc('week', latest.day)::date
            FROM rewards_scorehistory h,
                (SELECT max(reference_date) AS day FROM rewards_awardrun) latest
            WHERE NOT EXISTS (SELECT 1 FROM rewards_score s WHERE s.user_id = h.user_id)
            """
        )
        cursor.execute(
            f"""
            UPDATE rewards_score s
            SET lifetime = t.lifetime, daily = t.daily, weekly = t.weekly
            FROM ({_TRUE_SCORES}) t
            WHERE t.user_id = s.user_id
            AND (s.lifetime, s.daily, s.weekly) IS DISTINCT FROM (t.lifetime, t.daily, t.weekly)
            """  # noqa: S608 - a constant
        )
        repaired: int = cursor.rowcount
    return repaired
