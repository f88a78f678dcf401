"""Fill an empty database with activity and award it, for `manage.py demo`."""

import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Q

from rewards.choices import ApiScope, RuleType, RunTrigger
from rewards.demo import Activity
from rewards.engine.business_days import ONE_DAY, last_closed_week, monday_of, sunday_of
from rewards.engine.periods import DUE, PeriodState
from rewards.exceptions import AlreadyRunning, RewardsError, UsageError
from rewards.models import ApiClient, User
from rewards.selectors.activity import event_time
from rewards.selectors.database import foreign_tables, is_in_use, is_migrated
from rewards.selectors.periods import period_statuses
from rewards.selectors.time_zone import business_date, business_time_zone
from rewards.services import api_clients
from rewards.services.activity.importing import ImportReport, import_activity
from rewards.services.awarding.options import RunOptions
from rewards.services.awarding.run import RunReport, award
from rewards.services.rules import set_rule
from rewards.wording import count

ADMIN = "admin"

SOURCE = "app"
"""Source of the events that the demo's client of the API sends."""

LOCK = int.from_bytes(b"demo")
"""Key of the advisory lock."""

RULES: dict[RuleType, tuple[int, int]] = {
    RuleType.DAILY_LOGIN: (1, 10),
    RuleType.DAILY_AUDIO_CALL_TARGET: (5, 25),
    RuleType.DAILY_VIDEO_CALL_TARGET: (3, 35),
    RuleType.WEEKLY_CONSISTENCY: (5, 100),
}
"""Rule type -> (threshold, points)."""

Progress = Callable[[int, int], None]
"""Called with (done, total)."""

_UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """The result of one call; all counts but `events` are 0 if the demo was complete before."""

    first_day: date
    last_day: date
    """A Sunday."""
    events: int
    """Rows of the activity, stored by this call or before."""
    stored: int
    hosts_created: int
    rules_written: int
    runs: list[RunReport]
    """Of the periods that were due, oldest first."""

    @property
    def is_changed(self) -> bool:
        return bool(self.stored or self.rules_written or self.runs)

    def to_dict(self) -> dict[str, Any]:
        return {
            "first_day": self.first_day.isoformat(),
            "last_day": self.last_day.isoformat(),
            "is_changed": self.is_changed,
            "events": self.events,
            "stored": self.stored,
            "hosts_created": self.hosts_created,
            "rules_written": self.rules_written,
            "runs": len(self.runs),
        }


@contextmanager
def demo_lock() -> Iterator[None]:
    """Keep other processes from filling the same database, before and after its migration.

    PostgreSQL frees the lock with the database session. Raises AlreadyRunning.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
        (is_free,) = cursor.fetchone()
    if not is_free:
        raise AlreadyRunning("The demo is already running in another process.")
    try:
        yield
    finally:
        # A lost connection has freed the lock.
        if connection.is_usable():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def require_usable_database(*, activity: Activity) -> None:
    """Raise UsageError unless the database is empty or filled by an earlier call.

    Works before and after the migrations.
    """
    if is_migrated():
        if event_time(source=activity.source, event_id=activity.first_event) is not None:
            return
        found = "hosts, activity or rules of something else" if is_in_use() else ""
    else:
        tables = foreign_tables()
        found = f"tables of something else, such as {tables[0]!a:.80}" if tables else ""
    if found:
        raise UsageError(
            f"The database contains {found}; the demo needs an empty one: name it in "
            "DATABASE_URL, or unset that and name a new folder in LOCALDB_DIR."
        )


def fill(
    *, activity: Activity, now: datetime, on_import: Progress, on_award: Progress
) -> DemoReport:
    """Import `activity`, put RULES in force and award all due days and weeks.

    The last day of the activity becomes the last Sunday that has ended at `now`, or stays what it
    was in an earlier call. A second call completes what is missing, and changes nothing if
    nothing is. Needs `require_usable_database` and all migrations. Raises RewardsError.
    """
    first_day = _first_day(activity, now)
    # Rules first: a tick of beat may award the days while they are imported.
    rules_written = _write_rules(first_day, now)
    imports = _import(activity, first_day, now, on_import)
    return DemoReport(
        first_day=first_day,
        last_day=first_day + timedelta(days=activity.days - 1),
        events=sum(report.rows for report in imports),
        stored=sum(report.stored for report in imports),
        hosts_created=sum(report.hosts_created for report in imports),
        rules_written=rules_written,
        runs=_award_due(now, on_award),
    )


def make_admin() -> str | None:
    """Create a superuser named ADMIN and return its random password, which is stored nowhere.

    Returns None if there is a superuser or a user with this name.
    """
    if User.objects.filter(Q(is_superuser=True) | Q(username=ADMIN)).exists():
        return None
    password = secrets.token_urlsafe(12)
    User.objects.create_superuser(username=ADMIN, password=password)
    return password


def make_client(*, now: datetime) -> str | None:
    """Create a client of the API with the source SOURCE; return its key, which is not stored.

    Returns None if there is any client.
    """
    if ApiClient.objects.exists():
        return None
    client = api_clients.create_client(
        name="Demo",
        source=SOURCE,
        scopes=[ApiScope.EVENTS_WRITE, ApiScope.HOSTS_WRITE, ApiScope.SCORES_READ],
    )
    return api_clients.create_key(client=client, now=now, today=business_date(now)).text


def _first_day(activity: Activity, now: datetime) -> date:
    started_at = event_time(source=activity.source, event_id=activity.first_event)
    if started_at is not None:
        return started_at.astimezone(_UTC).date()
    # The week must have ended both in UTC and in the time zone of the business days.
    weeks = [last_closed_week(now, zone) for zone in (_UTC, business_time_zone())]
    return sunday_of(min(weeks)) - timedelta(days=activity.days - 1)


def _write_rules(first_day: date, now: datetime) -> int:
    """Write the rules that are missing and return their number."""
    reports = [
        set_rule(
            rule_type=rule_type,
            threshold=threshold,
            points=points,
            # West of Greenwich the first UTC day begins on the business day before.
            starts_on=monday_of(first_day - ONE_DAY),
            is_active=True,
            today=business_date(now),
            reason="Demo",
        )
        for rule_type, (threshold, points) in RULES.items()
    ]
    return sum(report.is_new for report in reports)


def _import(
    activity: Activity, first_day: date, now: datetime, on_progress: Progress
) -> list[ImportReport]:
    reports = []
    files = activity.files(ends_on=first_day + timedelta(days=activity.days - 1))
    with tempfile.TemporaryDirectory(prefix="rewards-demo-") as folder:
        path = Path(folder) / "activity.csv"
        for number, lines in enumerate(files):
            with path.open("w", encoding="ascii") as file:
                file.writelines(lines)
            report = import_activity(
                path=path,
                source=activity.source,
                create_hosts=True,
                now=now,
                on_progress=_part_progress(on_progress, number, len(files)),
            )
            if not report.is_complete:
                raise RewardsError(
                    f"{count(report.rejected + report.conflicts, 'row')} of the demo could not be "
                    "stored: hosts or events of an earlier demo were changed."
                )
            reports.append(report)
    return reports


def _award_due(now: datetime, on_progress: Progress) -> list[RunReport]:
    states = DUE | {PeriodState.LATE_BEYOND_GRACE}
    due = [status.period for status in period_statuses(now=now) if status.state in states]
    return [
        award(
            period=period,
            today=business_date(now),
            trigger=RunTrigger.COMMAND,
            options=RunOptions(
                second_thread=True, on_progress=_part_progress(on_progress, number, len(due))
            ),
        )
        for number, period in enumerate(due)
    ]


def _part_progress(on_progress: Progress, number: int, parts: int) -> Progress:
    """Return the progress of one part, numbered from 0, as progress of all parts."""
    return lambda done, total: on_progress(number * total + done, parts * total)
