"""Check that every invariant holds; read only."""

import json
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Max, Min
from django.db.models.functions import Least

from rewards.engine.business_days import day_window, days_between
from rewards.models import ActivityEvent, Score, User
from rewards.reports.verify import activity, awards, guards, runs, scores
from rewards.reports.verify.invariants import Invariant, Row
from rewards.selectors.time_zone import business_time_zone

CTES = activity.CTES | awards.CTES | scores.CTES
INVARIANTS = {
    invariant.name: invariant
    for module in (activity, awards, runs, scores, guards)
    for invariant in module.INVARIANTS
}

MAX_EXAMPLES = 5

Values = dict[str, date | int | list[date] | list[datetime] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one invariant."""

    name: str
    sentence: str
    checked: int
    """Rows checked: without rows, an invariant holds and says nothing."""
    violations: int
    examples: list[str]
    """The first few violations, a sentence each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The results of all invariants, in order of their names."""

    findings: tuple[Finding, ...]

    @property
    def broken(self) -> list[str]:
        """The names of the invariants with violations."""
        return [finding.name for finding in self.findings if finding.violations]

    def to_dict(self) -> dict[str, Any]:
        return {"invariants": [asdict(finding) for finding in self.findings]}


def verify_ledger(*, today: date) -> Verification:
    """Check every invariant against one snapshot of the database, in one statement; write nothing.

    `today` is today's business day.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        if not connection.savepoint_ids:  # the outermost transaction sets its own level
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        findings = _check(cursor, _parameters(today))
    return Verification(
        findings=tuple(sorted(findings, key=lambda f: (f.name[0] == "D", int(f.name[1:]))))
    )


def _check(cursor: CursorWrapper, parameters: Values) -> list[Finding]:
    """Check all invariants in one statement, so that each table is read once for all of them."""
    queries = CTES | {name: invariant.violations for name, invariant in INVARIANTS.items()}
    ctes = ", ".join(f"{name} AS MATERIALIZED ({sql})" for name, sql in queries.items())
    results = " UNION ALL ".join(
        f"SELECT '{name}', ({invariant.checked}), (SELECT count(*) FROM {name}),"
        f" ARRAY(SELECT to_jsonb({name})::text FROM {name} LIMIT {MAX_EXAMPLES})"
        for name, invariant in INVARIANTS.items()
    )
    cursor.execute(f"WITH {ctes} {results}", parameters)
    return [
        _finding(INVARIANTS[name], checked, violations, [json.loads(row) for row in rows])
        for name, checked, violations, rows in cursor.fetchall()
    ]


def _finding(invariant: Invariant, checked: int, violations: int, rows: list[Row]) -> Finding:
    users = {row["user_id"]: f"with id {row['user_id']}" for row in rows if "user_id" in row}
    users |= {pk: str(user) for pk, user in User.objects.in_bulk(users).items()}
    return Finding(
        name=invariant.name,
        sentence=invariant.sentence,
        checked=int(checked),
        violations=violations,
        examples=[
            invariant.describe({"host": users.get(row.get("user_id")), **row}) for row in rows
        ],
    )


def _parameters(today: date) -> Values:
    periods = Score.objects.aggregate(horizon=Min(Least("daily_date", "week_start")))
    bounds = ActivityEvent.objects.aggregate(first=Min("business_date"), last=Max("business_date"))
    zone = business_time_zone()
    days = list(days_between(bounds["first"], bounds["last"])) if bounds["first"] else []
    windows: list[tuple[datetime, datetime]] = [day_window(day, zone) for day in days]
    return {
        "today": today,
        "horizon": periods["horizon"],
        "min_call_seconds": settings.REWARDS_MIN_CALL_SECONDS,
        "days": days,
        "starts": [start for start, _ in windows],
        "ends": [end for _, end in windows],
    }
