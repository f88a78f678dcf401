"""Show that what must always hold does hold; rebuild scores where it does not."""

from dataclasses import dataclass
from datetime import date, datetime

from django.conf import settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Max, Min
from django.db.models.functions import Least

from rewards.engine.business_days import day_window, days_between
from rewards.models import ActivityEvent, Score
from rewards.reports.verify import activity, guards, ledger
from rewards.selectors.time_zone import business_time_zone

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
    zone = business_time_zone()
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
