"""Fill an empty database with activity, and pay for it: what `manage.py demo` shows."""

import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Q

from rewards.choices import RuleType, RunTrigger
from rewards.engine.business_days import (
    ONE_DAY,
    business_date,
    last_closed_week,
    monday_of,
    sunday_of,
)
from rewards.engine.periods import DUE, PeriodState
from rewards.exceptions import AlreadyRunning, RewardsError, UsageError
from rewards.models import User
from rewards.selectors.activity import event_time
from rewards.selectors.database import foreign_tables, is_in_use, is_migrated
from rewards.selectors.periods import period_statuses
from rewards.selectors.time_zone import business_time_zone
from rewards.services.activity.importing import import_activity
from rewards.services.awarding.options import RunOptions
from rewards.services.awarding.run import RunReport, award
from rewards.services.rules import set_rule

ADMIN = "admin"

LOCK = int.from_bytes(b"demo")
"""Key of the advisory lock."""

UTC = ZoneInfo("UTC")


class RuleParams(NamedTuple):
    """What a rule of the demo asks and pays."""

    threshold: int
    points: int


RULES: dict[RuleType, RuleParams] = {
    RuleType.DAILY_LOGIN: RuleParams(1, 10),
    RuleType.DAILY_AUDIO_CALL_TARGET: RuleParams(5, 25),
    RuleType.DAILY_VIDEO_CALL_TARGET: RuleParams(3, 35),
    RuleType.WEEKLY_CONSISTENCY: RuleParams(5, 100),
}

Progress = Callable[[int, int], None]


class Activity(Protocol):
    """Activity of a number of UTC days that can be moved to end on any day."""

    @property
    def source(self) -> str:
        """The source of its events, and of no others."""

    @property
    def first_event(self) -> str:
        """The id of an event of its first day, in its first line."""

    @property
    def days(self) -> int: ...

    def parts(self, *, ends_on: date) -> Sequence[Iterable[str]]:
        """Return files of activity, line for line, of which the last day is `ends_on`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """What one call did; all counts are 0 when there was nothing left to do."""

    first_day: date
    last_day: date
    """A Sunday."""
    events: int
    """Rows of the activity, whether stored by this call or before."""
    stored: int
    hosts_created: int
    rules_written: int
    runs: list[RunReport]
    """Of the days and weeks that were due, in order."""

    @property
    def is_changed(self) -> bool:
        return bool(self.stored or self.rules_written or self.runs)


@contextmanager
def demo_lock() -> Iterator[None]:
    """Keep any other process from making a demo in the same database, from migrating it on.

    The lock belongs to the database session, so PostgreSQL frees it when the process dies.
    Raises AlreadyRunning.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
        (is_free,) = cursor.fetchone()
    if not is_free:
        raise AlreadyRunning("demo is running already in another process; nothing was done.")
    try:
        yield
    finally:
        # A connection that was lost has taken the lock with it.
        if connection.is_usable():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def require_room(*, activity: Activity) -> None:
    """Raise UsageError unless the database is empty, or filled by an earlier call.

    Reads only, and works before any migration.
    """
    if is_migrated():
        if event_time(source=activity.source, event_id=activity.first_event) is not None:
            return
        found = "hosts, activity or rules that are not this demo's" if is_in_use() else ""
    else:
        tables = foreign_tables()
        found = f"tables of something else (such as {tables[0]!a:.80})" if tables else ""
    if found:
        raise UsageError(
            f"the database holds {found}; the demo needs an empty one: name it in DATABASE_URL, "
            "or leave that unset and name a new folder in LOCALDB_DIR."
        )


def fill(
    *, activity: Activity, now: datetime, on_import: Progress, on_award: Progress
) -> DemoReport:
    """Import `activity`, put RULES in force and award all its days and weeks.

    The activity is moved to end on the last Sunday that has ended at `now`; once there is some
    of it, it stays where it is. A second call, in whatever week, completes what is missing, and
    changes nothing when nothing is. Call when `require_room` has agreed and all migrations are
    applied. Raises RewardsError.
    """
    zone = business_time_zone()
    begun_at = event_time(source=activity.source, event_id=activity.first_event)
    if begun_at is None:
        # A day ends in UTC and in the zone of the business days at different times.
        last_day = sunday_of(min(last_closed_week(now, UTC), last_closed_week(now, zone)))
        first_day = last_day - timedelta(days=activity.days - 1)
    else:
        first_day = begun_at.astimezone(UTC).date()
        last_day = first_day + timedelta(days=activity.days - 1)

    # In zones to the west, the first UTC day begins on the day before.
    first = first_day - ONE_DAY
    written = [
        set_rule(
            rule_type=rule_type,
            threshold=terms.threshold,
            points=terms.points,
            starts_on=monday_of(first),
            is_active=True,
            today=business_date(now, zone),
            reason="The demo begins.",
        ).is_new
        for rule_type, terms in RULES.items()
    ]

    # Once there are rules to pay by: a tick of beat may come in between.
    events, stored, hosts_created = _import(activity, last_day, now, on_import)

    due = [
        status.period
        for status in period_statuses(now=now)
        if status.state in DUE | {PeriodState.LATE_BEYOND_GRACE}
    ]
    return DemoReport(
        first_day=first_day,
        last_day=last_day,
        events=events,
        stored=stored,
        hosts_created=hosts_created,
        rules_written=sum(written),
        runs=[
            award(
                period=period,
                today=business_date(now, zone),
                trigger=RunTrigger.COMMAND,
                options=RunOptions(
                    second_thread=True, on_progress=_part_of(on_award, done, len(due))
                ),
            )
            for done, period in enumerate(due)
        ],
    )


def make_admin() -> str | None:
    """Make a superuser named ADMIN and return its random password, kept nowhere.

    None when there is somebody to sign in as: a second call makes nobody.
    """
    if User.objects.filter(Q(is_superuser=True) | Q(username=ADMIN)).exists():
        return None
    password = secrets.token_urlsafe(12)
    User.objects.create_superuser(username=ADMIN, password=password)
    return password


def _import(
    activity: Activity, last_day: date, now: datetime, on_progress: Progress
) -> tuple[int, int, int]:
    """Return how many rows there are, were stored now, and how many hosts that made."""
    events = stored = hosts_created = 0
    with tempfile.TemporaryDirectory(prefix="rewards-demo-") as folder:
        path = Path(folder) / "activity.csv"
        files = activity.parts(ends_on=last_day)
        for done, lines in enumerate(files):
            with path.open("w", encoding="ascii") as file:
                file.writelines(lines)
            report = import_activity(
                path=path,
                source=activity.source,
                create_hosts=True,
                now=now,
                on_progress=_part_of(on_progress, done, len(files)),
            )
            if not report.is_complete:
                raise RewardsError(
                    f"{report.rejected + report.conflicts} rows of the demo's activity were "
                    "refused: what it imported before has been changed by someone else."
                )
            events += report.rows
            stored += report.stored
            hosts_created += report.hosts_created
    return events, stored, hosts_created


def _part_of(on_progress: Progress, done: int, total: int) -> Progress:
    """Return what is told of one of `total` parts of a whole, of which `done` are done."""
    return lambda part, parts: on_progress(done * parts + part, total * parts)
