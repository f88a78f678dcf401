"""What is known of a host's day and of its week."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings

from rewards.choices import ActivityKind, Cadence
from rewards.engine.business_days import ONE_DAY, business_date, day_window
from rewards.engine.values import Facts
from rewards.models import ActivityEvent, AwardBatch, AwardRun, DailyActivity, User
from rewards.selectors import hosts

MARGIN = timedelta(hours=1)
"""Activity so close to the bounds of a period is what people mean by "but I was there"."""

MAX_EVENTS = 200
"""Events read of each sort; a host with more of them has more than a person would read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A business day or a week of one host, as it stands at one moment."""

    cadence: Cadence
    days: Sequence[date]
    zone: ZoneInfo
    facts: Facts
    today: date

    run: AwardRun | None
    """The latest one."""
    failed: AwardBatch | None
    """The part of that run which should have evaluated the host, and could not."""

    before: Sequence[ActivityEvent]
    """What counted in the hour before the period."""
    after: Sequence[ActivityEvent]
    """What counted in the hour after it."""
    short: Sequence[ActivityEvent]
    """Calls too short to count, on days of a week that nothing else made active days."""
    late: Sequence[ActivityEvent]
    """What counts and was received after the latest run had begun."""

    @property
    def name(self) -> str:
        return f"{'week ' if self.cadence == Cadence.WEEKLY else ''}{self.days[0]}"

    @property
    def is_closed(self) -> bool:
        return self.days[-1] < self.today


def read_periods(
    *,
    user: User,
    spans: Mapping[Cadence, Sequence[date]],
    activity: Mapping[date, DailyActivity],
    now: datetime,
    zone: ZoneInfo,
) -> dict[Cadence, Period]:
    """Return the periods of `spans`, a day and its week, read together in five queries."""
    week = spans[Cadence.WEEKLY]
    runs = hosts.last_runs(periods=[(cadence, days[0]) for cadence, days in spans.items()])
    failed = hosts.failed_batches(user=user.pk, runs=runs.values())
    bounds = {
        cadence: (day_window(days[0], zone)[0], day_window(days[-1], zone)[1])
        for cadence, days in spans.items()
    }
    near = hosts.events_in(
        user=user.pk,
        days=[week[0] - ONE_DAY, *week, week[-1] + ONE_DAY],
        windows=[
            window
            for start, end in bounds.values()
            for window in ((start - MARGIN, start), (end, end + MARGIN))
        ],
        most=MAX_EVENTS,
    )
    short = hosts.short_calls(
        user=user.pk, days=week, min_seconds=settings.REWARDS_MIN_CALL_SECONDS, most=MAX_EVENTS
    )
    late = hosts.late_events(
        user=user.pk,
        days=week,
        since=min((run.started_at for run in runs.values()), default=now),
        most=MAX_EVENTS,
    )

    def period(cadence: Cadence, days: Sequence[date]) -> Period:
        start, end = bounds[cadence]
        run = runs.get(cadence)
        is_week = cadence == Cadence.WEEKLY
        return Period(
            cadence=cadence,
            days=days,
            zone=zone,
            facts=_facts([activity[day] for day in days if day in activity]),
            today=business_date(now, zone),
            run=run,
            failed=failed.get(run.pk) if run else None,
            before=[each for each in near if _counts(each) and _in(each, start - MARGIN, start)],
            after=[each for each in near if _counts(each) and _in(each, end, end + MARGIN)],
            short=[
                each
                for each in short
                if each.business_date in days and not (is_week and each.business_date in activity)
            ],
            late=[
                each
                for each in sorted(late, key=lambda event: event.occurred_at)
                if run and each.business_date in days and each.received_at >= run.started_at
                if _counts(each)
            ],
        )

    return {cadence: period(cadence, days) for cadence, days in spans.items()}


def _facts(active: Sequence[DailyActivity]) -> Facts:
    return Facts(
        logins=sum(day.logins for day in active),
        audio_calls=sum(day.audio_calls for day in active),
        video_calls=sum(day.video_calls for day in active),
        active_days=len(active),
    )


def _counts(event: ActivityEvent) -> bool:
    is_long_enough = event.duration_seconds >= settings.REWARDS_MIN_CALL_SECONDS
    return event.kind == ActivityKind.LOGIN or is_long_enough


def _in(event: ActivityEvent, start: datetime, end: datetime) -> bool:
    return start <= event.occurred_at < end
