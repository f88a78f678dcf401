"""The story of a run: open it, notify the workers, award its batches, close it, report."""

import logging
import time
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.conf import settings

from rewards.choices import Cadence, RunStatus, RunTrigger
from rewards.engine.business_days import ONE_DAY, ONE_WEEK, monday_of
from rewards.engine.periods import Period
from rewards.engine.values import AwardCounts
from rewards.exceptions import BadPeriod
from rewards.models import AwardRun
from rewards.selectors.activity import id_ranges_of_active_hosts
from rewards.selectors.rules import active_versions, rules_of_versions, to_rule
from rewards.services import scores
from rewards.services.awarding import journal
from rewards.services.awarding.batches import award_pending_batches
from rewards.services.awarding.ledger import Job, due_awards
from rewards.services.awarding.lock import period_lock
from rewards.services.awarding.options import SINGLE_PROCESS, Progress, RunOptions
from rewards.services.unchanged_settings import require_unchanged_settings

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.2
"""How often to check whether other processes have finished the last batches of a run."""

RENOTIFY_SECONDS = 30
"""Workers are notified again if no batch has finished for this long: messages may be lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """The result of one call for one period."""

    period: Period
    status: RunStatus | None
    """None after a dry run; RUNNING when the deadline came before the end of the run."""
    attempt: int | None
    """None after a dry run."""
    rules: int
    """Number of rules in force for the period."""
    counts: AwardCounts
    seconds: float
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {
            "cadence": self.period.cadence.value,
            "reference_date": self.period.reference_date.isoformat(),
            "status": self.status.value if self.status else "dry run",
            "attempt": self.attempt,
            "hosts_evaluated": self.counts.hosts_evaluated,
            "awards": self.counts.awards,
            "points": self.counts.points,
            "by_rule": self.counts.by_rule,
            "seconds": round(self.seconds, 3),
            "error": self.error,
        }


def award(
    *, period: Period, today: date, trigger: RunTrigger, options: RunOptions = SINGLE_PROCESS
) -> RunReport:
    """Pay each eligible host what the rules in force on the last day of `period` say.

    A second call pays what has become due since, such as late activity, and nothing twice. Raises
    BadPeriod unless the period has ended on `today`, SettingChanged, and AlreadyRunning.
    """
    started = time.monotonic()
    require_ended(period, today=today)
    require_unchanged_settings()

    with period_lock(period, shared=False) as share_lock:
        run, rules = journal.open_run(period, trigger=trigger)
        share_lock()
        if options.notify_workers is not None:
            options.notify_workers(run)
        if options.participate:
            job = Job(period, rules)
            while not _work_on(run, job, options) and time.monotonic() < options.deadline:
                time.sleep(POLL_SECONDS)
    if not options.participate:
        # Without the lock, so that a worker can take the run over.
        _wait_for_workers(run, options)

    run.refresh_from_db()
    return RunReport(
        period=period,
        status=RunStatus(run.status),
        attempt=run.attempt,
        rules=len(run.rule_versions),
        counts=run.counts,
        seconds=time.monotonic() - started,
        error=run.error,
    )


def join_run(*, run_id: int, options: RunOptions = SINGLE_PROCESS) -> bool:
    """Award batches of a run that another process opened; return whether the run has ended.

    A call for a run that has ended, or does not exist, changes nothing and returns True. Raises
    AlreadyRunning while another process opens a run of the same period.
    """
    run = AwardRun.objects.filter(pk=run_id, status=RunStatus.RUNNING).first()
    if run is None:
        return True
    with period_lock(run.period, shared=True):
        return _work_on(run, Job(run.period, rules_of_versions(run.rule_versions)), options)


def dry_run(*, period: Period, today: date, on_progress: Progress | None = None) -> RunReport:
    """Report what `award` would pay now, batch by batch; write nothing. Raises as award does."""
    started = time.monotonic()
    require_ended(period, today=today)
    require_unchanged_settings()
    job = Job(period, [to_rule(version) for version in active_versions(period=period)])
    total = AwardCounts()
    id_ranges = id_ranges_of_active_hosts(days=period.days, size=settings.REWARDS_BATCH_SIZE)
    for done, id_range in enumerate(id_ranges, start=1):
        _, counts = due_awards(job, id_range)
        total.add(counts)
        if on_progress is not None:
            on_progress(done, len(id_ranges))
    return RunReport(
        period=period,
        status=None,
        attempt=None,
        rules=len(job.rules),
        counts=total,
        seconds=time.monotonic() - started,
    )


def require_ended(period: Period, *, today: date) -> None:
    """Raise BadPeriod unless `period` has ended on the business day `today`."""
    day, is_week = period.reference_date, period.cadence == Cadence.WEEKLY
    if is_week and day != period.monday:
        raise BadPeriod(f"{day} is not a Monday; did you mean {period.monday}?")
    if day > today:
        raise BadPeriod(
            f"{day} is in the future (the business day is {today}, "
            f"zone {settings.REWARDS_TIME_ZONE})."
        )
    if period.last_day < today:
        return
    name, last_closed = (
        ("week", monday_of(today) - ONE_WEEK) if is_week else ("day", today - ONE_DAY)
    )
    raise BadPeriod(
        f"The {name} {day} has not ended in {settings.REWARDS_TIME_ZONE}; the last closed {name} "
        f"is {last_closed}."
    )


def _work_on(run: AwardRun, job: Job, options: RunOptions) -> bool:
    """Award batches of `run` until none is left to claim; return whether the run has ended."""
    return award_pending_batches(job, run, options) and _close(run, job.period)


def _close(run: AwardRun, period: Period) -> bool:
    """Close `run` unless other processes still work on it; return whether it has ended."""
    if journal.has_pending_batches(run):
        return False
    # Awarded hosts have moved to the new period with their award, so that only idle hosts are left,
    # and each score is written once a run.
    scores.roll_over(period=period)
    if journal.close_run(run, period):
        journal.log_end(run)
    return True


def _wait_for_workers(run: AwardRun, options: RunOptions) -> None:
    """Wait until workers have ended `run`; notify them again when no batch finishes."""
    last, last_at = (0, 0), time.monotonic()
    while time.monotonic() < options.deadline and journal.is_open(run):
        time.sleep(POLL_SECONDS)
        progress = journal.progress(run)
        if options.on_progress is not None:
            options.on_progress(*progress)
        if progress != last:
            last, last_at = progress, time.monotonic()
        elif time.monotonic() - last_at > RENOTIFY_SECONDS and options.notify_workers is not None:
            last_at = time.monotonic()
            options.notify_workers(run)
