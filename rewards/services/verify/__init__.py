"""Show that what must always hold does hold; rebuild scores where it does not."""

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Max, Min
from django.db.models.functions import Least

from rewards.calendar import day_window, days_between
from rewards.models import ActivityEvent, Score
from rewards.services.contention import retried
from rewards.services.verify import activity, guards, ledger

READINGS = activity.READINGS | ledger.READINGS
INVARIANTS = activity.INVARIANTS + ledger.INVARIANTS + guards.INVARIANTS

MAX_EXAMPLES = 5

Values = dict[str, date | int | list[date] | list[datetime] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What asking one invariant came to."""

    name: str
    sentence: str
    checked: int
    violations: int
    examples: list[str]
    """The first few violations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairReport:
    """The scores that differed from the ledger, and have been rebuilt unless it was a dry run."""

    scores: int
    examples: list[str]
    """The first few: the host, what it had and what the ledger says."""


def verify_ledger(*, today: date) -> list[Finding]:
    """Ask every invariant of one consistent picture of the database; write nothing.

    `today` is the business day at hand. Each finding says how many rows were checked, since no
    coverage must never read as a pass.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        if not connection.savepoint_ids:  # the outermost transaction sets its own level
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        findings = _ask(cursor, _values(today))
    return sorted(findings, key=lambda each: (each.name[0] == "D", int(each.name[1:])))


def _ask(cursor: CursorWrapper, values: Values) -> list[Finding]:
    """Ask all invariants in one statement, so that what several of them need is read once."""
    readings = READINGS | {each.name: each.broken for each in INVARIANTS}
    ctes = ", ".join(f"{name} AS MATERIALIZED ({sql})" for name, sql in readings.items())
    answers = " UNION ALL ".join(
        f"SELECT '{each.name}', ({each.checked}), (SELECT count(*) FROM {each.name}),"  # noqa: S608
        f" ARRAY(SELECT {each.name}::text FROM {each.name} LIMIT {MAX_EXAMPLES})"
        for each in INVARIANTS
    )
    sentences = {each.name: each.sentence for each in INVARIANTS}
    cursor.execute(f"WITH {ctes} {answers}", values)
    return [
        Finding(
            name=name,
            sentence=sentences[name],
            checked=int(checked),
            violations=violations,
            examples=examples,
        )
        for name, checked, violations, examples in cursor
    ]


def _values(today: date) -> Values:
    """Return what the questions are asked with."""
    scores = Score.objects.aggregate(horizon=Min(Least("daily_date", "week_start")))
    span = ActivityEvent.objects.aggregate(first=Min("business_date"), last=Max("business_date"))
    zone = ZoneInfo(settings.REWARDS_TIME_ZONE)
    days = list(days_between(span["first"], span["last"])) if span["first"] else []
    windows: list[tuple[datetime, datetime]] = [day_window(day, zone) for day in days]
    return {
        "today": today,
        "horizon": scores["horizon"],
        "min_call_seconds": settings.REWARDS_MIN_CALL_SECONDS,
        "days": days,
        "starts": [start for start, _ in windows],
        "ends": [end for _, end in windows],
    }


# What each score must be: in the period it has, unless that lies after the latest judged day.
_TRUE_SCORES = """
    SELECT user_id, coalesce(sum(points), 0) AS lifetime,
        coalesce(sum(points) FILTER (WHERE reference_date = day), 0) AS daily, day AS daily_date,
        coalesce(sum(points) FILTER (
            WHERE reference_date BETWEEN monday AND monday + 6), 0) AS weekly,
        monday AS week_start
    FROM (
        SELECT user_id, least(daily_date, latest.day) AS day,
            least(week_start, date_trunc('week', latest.day)::date) AS monday
        FROM (
            SELECT user_id FROM rewards_score UNION SELECT user_id FROM rewards_scorehistory
        ) AS hosts
        LEFT JOIN rewards_score USING (user_id)
        CROSS JOIN (SELECT max(reference_date) AS day FROM rewards_awardrun) AS latest
    ) AS periods
    LEFT JOIN rewards_scorehistory USING (user_id)
    GROUP BY user_id, day, monday
"""

_DIFFERING = f"""
    SELECT truth.*, external_id, score.lifetime AS had
    FROM ({_TRUE_SCORES}) AS truth
    JOIN rewards_user ON rewards_user.id = user_id
    LEFT JOIN rewards_score AS score USING (user_id)
    WHERE (score.lifetime, score.daily, score.daily_date, score.weekly, score.week_start)
        IS DISTINCT FROM
        (truth.lifetime, truth.daily, truth.daily_date, truth.weekly, truth.week_start)
"""  # noqa: S608 - constants

_LOOK = f"""
    WITH differing AS MATERIALIZED ({_DIFFERING})
    SELECT (SELECT count(*) FROM differing), ARRAY(
        SELECT format('%%s: lifetime %%s -> %%s, daily %%s, weekly %%s',
            external_id, coalesce(had::text, 'none'), lifetime, daily, weekly)
        FROM differing ORDER BY user_id LIMIT {MAX_EXAMPLES})
"""  # noqa: S608 - constants

_REBUILD = f"""
    INSERT INTO rewards_score AS score
        (user_id, lifetime, daily, daily_date, weekly, week_start)
    SELECT user_id, lifetime, daily, daily_date, weekly, week_start
    FROM ({_DIFFERING}) AS differing
    ON CONFLICT (user_id) DO UPDATE SET
        lifetime = excluded.lifetime,
        daily = excluded.daily, daily_date = excluded.daily_date,
        weekly = excluded.weekly, week_start = excluded.week_start
"""  # noqa: S608 - constants


def repair_scores(*, is_dry_run: bool = False) -> RepairReport:
    """Rebuild the scores that differ from the ledger, each in its period; touch nothing else.

    A second call finds nothing to do. Batches wait until it is done, and those that waited for
    too long are deferred to the next run; a dry run holds up nobody.
    """
    return retried(lambda: _repair(is_dry_run=is_dry_run), label="repair of scores")


def _repair(*, is_dry_run: bool) -> RepairReport:
    with transaction.atomic(), connection.cursor() as cursor:
        if not is_dry_run:
            # In the order in which batches write them.
            cursor.execute(
                "LOCK TABLE rewards_scorehistory, rewards_score IN SHARE ROW EXCLUSIVE MODE"
            )
        cursor.execute(_LOOK, [])
        scores, examples = cursor.fetchone()
        if scores and not is_dry_run:
            cursor.execute(_REBUILD)
    return RepairReport(scores=scores, examples=examples)
