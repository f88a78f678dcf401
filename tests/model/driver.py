"""The actions of tests.model.reference, on the application and its database."""

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from django.apps import apps
from django.db import connection
from django.test import override_settings

from rewards.choices import RuleType, RunTrigger
from rewards.exceptions import RuleRefused
from rewards.models import Host, Score, ScoreHistory
from rewards.reports.verify.verification import verify_ledger
from rewards.services import due, rules
from rewards.services.activity.importing import import_activity
from rewards.services.awarding.live import forget_all
from rewards.services.ingest import ingest_events
from rewards.services.unchanged_settings import forget_unchanged_settings
from tests import awards
from tests.factories import HostFactory
from tests.model.reference import Event, Sums, Version

COLUMNS = ["event_id", "user_id", "kind", "occurred_at", "duration_seconds"]


def wipe() -> None:
    """Empty all tables of the application; disables the triggers that protect the ledger."""
    tables = ", ".join(
        model._meta.db_table for model in apps.get_app_config("rewards").get_models()
    )
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(f"TRUNCATE {tables} CASCADE")
        cursor.execute("SET session_replication_role = origin")
    restart()


def add_host(host: str) -> None:
    if not Host.objects.filter(external_id=host).exists():
        HostFactory(external_id=host)


def leave(host: str, day: date) -> None:
    Host.objects.filter(external_id=host).update(left_on=day)


def set_rule(rule_type: str, starts_on: date, version: Version, today: date) -> bool:
    """Write a rule version; return whether it exists now."""
    try:
        rules.set_rule(
            rule_type=RuleType(rule_type), starts_on=starts_on, today=today, **version._asdict()
        )
    except RuleRefused:
        return False
    return True


def ingest(events: list[Event], now: datetime, path: Path) -> dict[str, int]:
    """Import `events` as CSV or JSON Lines, by the suffix of `path`; return the counts."""
    rows = [
        [event.id, event.host, event.kind, event.at.isoformat(), event.seconds] for event in events
    ]
    with path.open("w", newline="") as file:
        if path.suffix == ".csv":
            csv.writer(file).writerows([COLUMNS, *rows])
        else:
            file.writelines(f"{json.dumps(dict(zip(COLUMNS, row, strict=True)))}\n" for row in rows)
    report = import_activity(path=path, source="app", create_hosts=False, now=now)
    return {
        name: getattr(report, name) for name in ("stored", "duplicates", "conflicts", "rejected")
    }


def send(
    events: list[Event], now: datetime, *, is_live: bool
) -> tuple[dict[str, int], set[tuple[str, str]]]:
    """Ingest `events` as one request; return the counts, and the (host, rule type) paid."""
    rows = [
        dict(zip(COLUMNS, [e.id, e.host, e.kind, e.at.isoformat(), e.seconds], strict=True))
        for e in events
    ]
    with override_settings(REWARDS_LIVE=is_live):
        report = ingest_events(events=rows, source="app", creates_hosts=False, now=now)
    conflicts = sum(problem.part == "conflict" for problem in report.problems)
    return {
        "stored": report.stored,
        "duplicates": report.duplicates,
        "conflicts": conflicts,
        "rejected": len(report.problems) - conflicts,
    }, {(award["user_id"], award["rule_type"]) for award in report.awards}


def restart() -> None:
    """Forget what a process keeps between its requests."""
    forget_all()
    forget_unchanged_settings()


def award(day: date, now: datetime, *, is_week: bool = False) -> None:
    """Award a day, or the week of a Monday."""
    if is_week:
        awards.award_weekly(monday=day, now=now, trigger=RunTrigger.COMMAND)
    else:
        awards.award_daily(day=day, now=now, trigger=RunTrigger.COMMAND)


def award_due(now: datetime) -> list[tuple[date, bool]]:
    """Award what is due; return (reference date, whether it is a week) of each run, in order."""
    report = due.award_due(now=now, trigger=RunTrigger.BEAT)
    assert report.is_complete
    periods = (run.period for run in report.runs)
    return [(period.reference_date, period.cadence == "weekly") for period in periods]


def ledger() -> dict[tuple[str | None, str, date], int]:
    rows = ScoreHistory.objects.values_list(
        "user__external_id", "rule_type", "reference_date", "points"
    )
    return {(host, rule_type, day): points for host, rule_type, day, points in rows}


def scores() -> dict[str | None, Sums]:
    rows = Score.objects.values_list(
        "user__external_id", "lifetime", "daily", "daily_date", "weekly", "week_start"
    )
    return {row[0]: Sums(*row[1:]) for row in rows}


def broken(now: datetime) -> set[str]:
    """Return the invariants that do not hold; not I23, which asks the clock of the database."""
    return set(verify_ledger(today=now.date()).broken) - {"I23"}


class Crash(BaseException):
    """The end of the process. A BaseException, so that the application does not catch it."""


@contextmanager
def crash_at(statement: int) -> Iterator[Callable[[], bool]]:
    """Fail every statement from the n-th on; yield a function that tells whether one did.

    Then the connection is closed, so that uncommitted work is lost as in a crash.
    """
    seen = 0

    def wrapper(execute: Callable[..., Any], *arguments: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen >= statement:
            raise Crash
        return execute(*arguments)

    try:
        with connection.execute_wrapper(wrapper):
            yield lambda: seen >= statement
    except Crash:
        connection.close()


def at(day: date, hour: int = 12) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
