"""The one write path: judge hosts for a period, write the ledger and the scores."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction

from rewards.calendar import (
    business_date,
    last_closed_day,
    last_closed_week,
    monday_of,
    sunday_of,
)
from rewards.choices import Cadence, RunStatus, RunTrigger
from rewards.exceptions import BadPeriod
from rewards.models import AwardRun
from rewards.rules.periods import days_of_period
from rewards.selectors.activity import spans_of_active_hosts
from rewards.selectors.rules import rules_in_force, rules_of_versions
from rewards.services import runs, scores
from rewards.services.awarding.batch import Job, judge_span
from rewards.services.awarding.shards import award_pending_shards
from rewards.services.contention import retried
from rewards.services.runs import Tally
from rewards.services.zone import require_zone_of_events

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.2
"""How often to look whether others have finished the last shards of a run."""

CALL_AGAIN_SECONDS = 30
"""After so long without a shard finished, the messages to the workers may have been lost."""

Progress = Callable[[int, int], None]
"""Told (shards done, shards in all)."""

Invite = Callable[[AwardRun], None]
"""Told of a run that has just been opened, to bring other processes to work on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What one call came to, for one reference date."""

    cadence: Cadence
    reference_date: date
    status: RunStatus | None
    """None for a dry run, which leaves nothing that could have a status; RUNNING when the time
    given was over before the run was."""
    attempt: int | None
    rules: int
    """How many rules of the cadence were in force."""
    tally: Tally
    seconds: float
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labour:
    """Who works on a run, and for how long."""

    invite: Invite | None = None
    """Brings other processes, which share the shards with this one."""
    takes_part: bool = True
    """Whether this process works too, or only waits for the others."""
    until: float | None = None
    """The time.monotonic() at which to leave the run to others."""

    @property
    def is_over(self) -> bool:
        return self.until is not None and time.monotonic() >= self.until


ALONE = Labour()


def award_daily(
    *,
    day: date,
    now: datetime,
    trigger: RunTrigger,
    is_dry_run: bool = False,
    labour: Labour = ALONE,
    on_progress: Progress | None = None,
) -> RunReport:
    """Pay each host what the daily rules in force on `day` say of that business day.

    A second call pays what has become due since, such as late activity, and nothing twice. A dry
    run judges and writes nothing. Raises BadPeriod unless the day has ended at `now`, ZoneChanged,
    and AlreadyRunning.
    """
    return award(
        cadence=Cadence.DAILY,
        reference_date=day,
        now=now,
        trigger=trigger,
        is_dry_run=is_dry_run,
        labour=labour,
        on_progress=on_progress,
    )


def award_weekly(
    *,
    monday: date,
    now: datetime,
    trigger: RunTrigger,
    is_dry_run: bool = False,
    labour: Labour = ALONE,
    on_progress: Progress | None = None,
) -> RunReport:
    """Pay each host what the weekly rules in force on its Sunday say of the week of `monday`.

    Otherwise as award_daily. The awards are of the reference date `monday`.
    """
    return award(
        cadence=Cadence.WEEKLY,
        reference_date=monday,
        now=now,
        trigger=trigger,
        is_dry_run=is_dry_run,
        labour=labour,
        on_progress=on_progress,
    )


def award(
    *,
    cadence: Cadence,
    reference_date: date,
    now: datetime,
    trigger: RunTrigger,
    is_dry_run: bool = False,
    labour: Labour = ALONE,
    on_progress: Progress | None = None,
) -> RunReport:
    """Award one period of either cadence: what award_daily and award_weekly have in common."""
    began = time.monotonic()
    require_ended(cadence=cadence, reference_date=reference_date, now=now)
    require_zone_of_events()
    if is_dry_run:
        return _rehearse(cadence, reference_date, on_progress, began)

    with runs.opened(cadence=cadence, reference_date=reference_date, trigger=trigger) as run:
        if labour.invite is not None:
            labour.invite(run)
        if labour.takes_part:
            while not (_work_on(run, labour, on_progress) or labour.is_over):
                time.sleep(POLL_SECONDS)
    if not labour.takes_part:
        # Whoever only watches holds no lock, and so keeps nobody from taking the run over.
        _watch(run, labour, on_progress)
    run.refresh_from_db()

    return RunReport(
        cadence=cadence,
        reference_date=reference_date,
        status=RunStatus(run.status),
        attempt=run.attempt,
        rules=len(run.rule_versions),
        tally=runs.tally_of(run),
        seconds=time.monotonic() - began,
        error=run.error,
    )


def _watch(run: AwardRun, labour: Labour, on_progress: Progress | None) -> None:
    """Wait until others have ended `run`; call for them again when nothing comes forward."""
    seen, seen_at = (0, 0), time.monotonic()
    while (
        not labour.is_over and AwardRun.objects.filter(pk=run.pk, status=RunStatus.RUNNING).exists()
    ):
        time.sleep(POLL_SECONDS)
        done = runs.progress(run)
        if on_progress is not None:
            on_progress(*done)
        if done != seen:
            seen, seen_at = done, time.monotonic()
        elif time.monotonic() - seen_at > CALL_AGAIN_SECONDS and labour.invite is not None:
            seen_at = time.monotonic()
            labour.invite(run)


def award_shards(*, run: int, labour: Labour = ALONE) -> bool:
    """Work on the shards of a run that another process opened; return whether it has ended.

    Whoever judges the last shard closes the run. A second call, or one for a run that has ended
    or does not exist, changes nothing and returns True. Raises AlreadyRunning while another
    process opens a run of the same period.
    """
    opened = AwardRun.objects.filter(pk=run, status=RunStatus.RUNNING).first()
    if opened is None:
        return True
    with runs.joined(opened):
        return _work_on(opened, labour, None)


def require_ended(*, cadence: Cadence, reference_date: date, now: datetime) -> None:
    """Raise BadPeriod unless `reference_date` names a period that has ended at `now`."""
    zone = ZoneInfo(settings.REWARDS_TIME_ZONE)
    today = business_date(now, zone)
    if cadence == Cadence.WEEKLY and monday_of(reference_date) != reference_date:
        raise BadPeriod(
            f"{reference_date} is not a Monday; did you mean {monday_of(reference_date)}?"
        )
    if reference_date > today:
        raise BadPeriod(
            f"{reference_date} is in the future (business date is {today}, zone {zone})."
        )
    if cadence == Cadence.WEEKLY and sunday_of(reference_date) >= today:
        raise BadPeriod(
            f"week {reference_date} has not ended in {zone}; the last closed week is "
            f"{last_closed_week(now, zone)}."
        )
    if reference_date == today:
        raise BadPeriod(
            f"day {reference_date} has not ended in {zone}; the last closed day is "
            f"{last_closed_day(now, zone)}."
        )


def _rehearse(
    cadence: Cadence, reference_date: date, on_progress: Progress | None, began: float
) -> RunReport:
    """Report what a run would come to now, batch for batch, without its last step."""
    days = days_of_period(cadence, reference_date)
    job = Job.of(days=days, rules=rules_in_force(cadence=cadence, day=days[-1]))
    total = Tally()
    spans = spans_of_active_hosts(days=days, size=settings.REWARDS_BATCH_SIZE)
    for done, span in enumerate(spans, start=1):
        _, tally = judge_span(job, span)
        total.add(tally)
        if on_progress is not None:
            on_progress(done, len(spans))
    return RunReport(
        cadence=cadence,
        reference_date=reference_date,
        status=None,
        attempt=None,
        rules=len(job.rules),
        tally=total,
        seconds=time.monotonic() - began,
    )


def _work_on(run: AwardRun, labour: Labour, on_progress: Progress | None) -> bool:
    """Judge shards of `run` until there is none left to take; return whether the run has ended."""
    job = Job.of(
        days=days_of_period(Cadence(run.cadence), run.reference_date),
        rules=rules_of_versions(run.rule_versions),
    )

    def report() -> None:
        if on_progress is not None:
            on_progress(*runs.progress(run))

    if not award_pending_shards(job, run, is_over=lambda: labour.is_over, on_shard=report):
        return False
    return retried(lambda: _close(run), label="closing of a run")


def _close(run: AwardRun) -> bool:
    """Close `run` unless others still work on shards of it; return whether it has ended."""
    with transaction.atomic():
        if not runs.is_judged(run):
            return False
        is_ours = run.status == RunStatus.RUNNING
        if is_ours:
            # Whoever was awarded has moved to the period with the award; only idle hosts are left
            # to move, so that each score is written once in a run, not twice.
            scores.roll_over(reference_date=run.reference_date)
            runs.close_run(run)
    if is_ours:
        _log(run)
    return True


def _log(run: AwardRun) -> None:
    assert run.finished_at is not None  # noqa: S101 - tells the type checker
    logger.log(
        logging.INFO if run.status == RunStatus.DONE else logging.ERROR,
        "run cadence=%s reference_date=%s status=%s attempt=%d trigger=%s hosts=%d rejected=%d "
        "awards=%d points=%d seconds=%.3f%s",
        run.cadence,
        run.reference_date,
        run.status,
        run.attempt,
        run.trigger,
        run.hosts_evaluated,
        run.rejected,
        run.awards,
        run.points,
        (run.finished_at - run.started_at).total_seconds(),
        f" error={run.error!a}" if run.error else "",
    )
