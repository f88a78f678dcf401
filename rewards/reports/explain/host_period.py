"""The facts of a host in a day and in its week, and the activity around them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings

from rewards.choices import ActivityKind, Cadence
from rewards.engine.business_days import ONE_DAY, business_date, day_window
from rewards.engine.periods import Period
from rewards.engine.values import Facts
from rewards.models import ActivityEvent, AwardBatch, AwardRun, DailyActivity, User
from rewards.selectors import hosts

MARGIN = timedelta(hours=1)
"""Activity this close to a period is what people mean by "but I was there"."""

MAX_EVENTS = 200
"""Events read of each sort; nobody reads more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPeriod:
    """One period of one host, at one moment."""

    period: Period
    zone: ZoneInfo
    today: date
    facts: Facts
    active_days: Collection[date]

    run: AwardRun | None
    """The latest one."""
    failed_batch: AwardBatch | None
    """The batch of that run that should have evaluated the host and failed."""

    before: Sequence[ActivityEvent]
    """Events that count, in the hour before the period."""
    after: Sequence[ActivityEvent]
    """Events that count, in the hour after it."""
    short: Sequence[ActivityEvent]
    """Calls too short to count."""
    late: Sequence[ActivityEvent]
    """Events that count and were received after the latest run started."""

    @property
    def is_closed(self) -> bool:
        return self.period.last_day < self.today


def read_host_periods(
    *,
    user: User,
    day: Period,
    week: Period,
    activity: Mapping[date, DailyActivity],
    now: datetime,
    zone: ZoneInfo,
) -> dict[Cadence, HostPeriod]:
    """Return what is known of a host's day and of the week around it. Five queries for both."""
    periods = (day, week)
    runs = hosts.last_runs(periods=periods)
    failed = hosts.failed_batches(user=user.pk, runs=runs.values())
    bounds = {
        period: (day_window(period.days[0], zone)[0], day_window(period.last_day, zone)[1])
        for period in periods
    }
    near = hosts.events_in(
        user=user.pk,
        days=[week.days[0] - ONE_DAY, *week.days, week.last_day + ONE_DAY],
        windows=[
            window
            for start, end in bounds.values()
            for window in ((start - MARGIN, start), (end, end + MARGIN))
        ],
        limit=MAX_EVENTS,
    )
    short = hosts.short_calls(
        user=user.pk,
        days=week.days,
        min_seconds=settings.REWARDS_MIN_CALL_SECONDS,
        limit=MAX_EVENTS,
    )
    late = hosts.late_events(
        user=user.pk,
        days=week.days,
        since=min((run.started_at for run in runs.values()), default=now),
        limit=MAX_EVENTS,
    )

    def host_period(period: Period) -> HostPeriod:
        start, end = bounds[period]
        run = runs.get(period.cadence)
        active = [activity[day] for day in period.days if day in activity]
        return HostPeriod(
            period=period,
            zone=zone,
            today=business_date(now, zone),
            facts=facts_of(active),
            active_days=[activity.date for activity in active],
            run=run,
            failed_batch=failed.get(run.pk) if run else None,
            before=_counted(near, start - MARGIN, start),
            after=_counted(near, end, end + MARGIN),
            short=[event for event in short if event.business_date in period.days],
            late=[
                event
                for event in _counted(late, start, end)
                if run and event.received_at >= run.started_at
            ],
        )

    return {period.cadence: host_period(period) for period in periods}


def facts_of(active: Sequence[DailyActivity]) -> Facts:
    """Return the facts of the days on which a host was active."""
    return Facts(
        logins=sum(day.logins for day in active),
        audio_calls=sum(day.audio_calls for day in active),
        video_calls=sum(day.video_calls for day in active),
        active_days=len(active),
    )


def _counted(
    events: Sequence[ActivityEvent], start: datetime, end: datetime
) -> list[ActivityEvent]:
    """Return the events in `[start, end)` that count, in order of time."""
    return sorted(
        (
            event
            for event in events
            if start <= event.occurred_at < end
            and (
                event.kind == ActivityKind.LOGIN
                or event.duration_seconds >= settings.REWARDS_MIN_CALL_SECONDS
            )
        ),
        key=lambda event: event.occurred_at,
    )
