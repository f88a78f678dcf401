"""The one write path: judge hosts for a period, write the ledger and the scores."""

import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import DatabaseError, IntegrityError, OperationalError, connection, transaction

from rewards.calendar import (
    business_date,
    last_closed_day,
    last_closed_week,
    monday_of,
    sunday_of,
    week_days,
)
from rewards.choices import Cadence, RunStatus, RunTrigger
from rewards.exceptions import BadPeriod
from rewards.models import AwardRun, AwardShard
from rewards.models.ledger import AWARD_ONCE
from rewards.rules import Award, Facts, Rule, award_judge
from rewards.selectors.activity import Span, facts_by_user, spans_of_active_hosts
from rewards.selectors.ledger import awarded_keys
from rewards.selectors.rules import rules_in_force
from rewards.services import runs, scores
from rewards.services.connections import is_lost
from rewards.services.runs import Tally

logger = logging.getLogger(__name__)

MAX_TRIES = 5
"""How often a batch is done again when other processes are in its way."""

_COPY = """
    COPY rewards_scorehistory
        (user_id, rule_type, reference_date, points, rule_id, measured, threshold, run_id)
    FROM STDIN
"""

Judge = Callable[[Facts], tuple[Award, ...]]
Progress = Callable[[int, int], None]
"""Told (shards done, shards in all)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What one call came to, for one reference date."""

    cadence: Cadence
    reference_date: date
    status: RunStatus | None
    """None for a dry run, which leaves nothing that could have a status."""
    attempt: int | None
    rules: int
    """How many rules of the cadence were in force."""
    tally: Tally
    seconds: float
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What every batch of a run shares."""

    cadence: Cadence
    days: Sequence[date]
    """The business day judged, or the seven of the week judged."""
    rules: Sequence[Rule]
    judge: Judge

    @property
    def reference_date(self) -> date:
        return self.days[0]


def award_daily(
    *,
    day: date,
    now: datetime,
    trigger: RunTrigger,
    is_dry_run: bool = False,
    on_progress: Progress | None = None,
) -> RunReport:
    """Pay each host what the daily rules in force on `day` say of that business day.

    A second call pays what has become due since, such as late activity, and nothing twice. A dry
    run judges and writes nothing. Raises BadPeriod unless the day has ended at `now`, and
    AlreadyRunning.
    """
    _require_ended(day, now)
    return _award(Cadence.DAILY, [day], trigger, is_dry_run, on_progress)


def award_weekly(
    *,
    monday: date,
    now: datetime,
    trigger: RunTrigger,
    is_dry_run: bool = False,
    on_progress: Progress | None = None,
) -> RunReport:
    """Pay each host what the weekly rules in force on its Sunday say of the week of `monday`.

    Otherwise as award_daily. The awards are of the reference date `monday`.
    """
    require_monday(monday)
    _require_ended(sunday_of(monday), now, week=monday)
    return _award(Cadence.WEEKLY, week_days(monday), trigger, is_dry_run, on_progress)


def require_monday(day: date) -> None:
    """Raise BadPeriod unless `day` can name a week."""
    if monday_of(day) != day:
        raise BadPeriod(f"{day} is not a Monday; did you mean {monday_of(day)}?")


def _require_ended(day: date, now: datetime, *, week: date | None = None) -> None:
    """Raise BadPeriod unless `day`, the last one of what is judged, has ended at `now`."""
    zone = ZoneInfo(settings.REWARDS_TIME_ZONE)
    today = business_date(now, zone)
    if (week or day) > today:
        raise BadPeriod(f"{week or day} is in the future (business date is {today}, zone {zone}).")
    if week is not None and day >= today:
        raise BadPeriod(
            f"week {week} has not ended in {zone}; the last closed week is "
            f"{last_closed_week(now, zone)}."
        )
    if day >= today:
        raise BadPeriod(
            f"day {day} has not ended in {zone}; the last closed day is "
            f"{last_closed_day(now, zone)}."
        )


def _award(
    cadence: Cadence,
    days: Sequence[date],
    trigger: RunTrigger,
    is_dry_run: bool,
    on_progress: Progress | None,
) -> RunReport:
    began = time.monotonic()
    rules = rules_in_force(cadence=cadence, day=days[-1])
    job = _Job(cadence=cadence, days=days, rules=rules, judge=award_judge(rules))

    if is_dry_run:
        return RunReport(
            cadence=cadence,
            reference_date=job.reference_date,
            status=None,
            attempt=None,
            rules=len(rules),
            tally=_rehearse(job, on_progress),
            seconds=time.monotonic() - began,
        )

    with runs.held(cadence=cadence, reference_date=job.reference_date):
        run = runs.open_run(
            cadence=cadence, reference_date=job.reference_date, days=days, trigger=trigger
        )
        shards = run.shards.count()
        done = 0
        while _award_next_shard(job, run):
            done += 1
            if on_progress is not None:
                on_progress(done, shards)
        with transaction.atomic():
            # Whoever was awarded has moved to the period with the award; only idle hosts are
            # left to move, so that each score is written once in a run, not twice.
            scores.roll_over(reference_date=job.reference_date)
            tally = runs.close_run(run)

    report = RunReport(
        cadence=cadence,
        reference_date=job.reference_date,
        status=RunStatus(run.status),
        attempt=run.attempt,
        rules=len(rules),
        tally=tally,
        seconds=time.monotonic() - began,
        error=run.error,
    )
    logger.log(
        logging.INFO if report.status == RunStatus.DONE else logging.ERROR,
        "run cadence=%s reference_date=%s status=%s attempt=%d trigger=%s hosts=%d awards=%d "
        "points=%d seconds=%.3f",
        report.cadence,
        report.reference_date,
        report.status,
        report.attempt,
        run.trigger,
        tally.hosts,
        tally.awards,
        tally.points,
        report.seconds,
    )
    return report


def _rehearse(job: _Job, on_progress: Progress | None) -> Tally:
    """Return what a run would come to now, batch for batch, without its last step."""
    total = Tally()
    spans = spans_of_active_hosts(days=job.days, size=settings.REWARDS_BATCH_SIZE)
    for done, span in enumerate(spans, start=1):
        awards, hosts = _judge_span(job, span)
        total.add(_tally(awards, hosts))
        if on_progress is not None:
            on_progress(done, len(spans))
    return total


def _award_next_shard(job: _Job, run: AwardRun) -> bool:
    """Judge and write one pending shard of `run`; return whether there was one.

    A batch that meets awards or locks of another process is done again with fresh maps. One
    that fails for a reason of its own is rolled back and reported, and the rest goes on.
    """
    shard: AwardShard | None = None
    for tries in range(1, MAX_TRIES + 1):
        try:
            with transaction.atomic():
                shard = runs.take_shard(run)
                if shard is None:
                    return False
                tally = _award_span(job, run, Span(shard.after_user, shard.through_user))
                runs.finish_shard(shard, tally=tally)
                return True
        except (DatabaseError, ArithmeticError, ValueError) as error:
            if shard is None or is_lost(error):
                raise
            if not _is_contention(error) or tries == MAX_TRIES:
                logger.exception("batch failed: %s", shard)
                runs.fail_shard(shard, error=f"{type(error).__name__}: {error}".strip())
                return True
            logger.info("batch met another process, try %d: %s", tries, shard)
            time.sleep(random.uniform(0, 0.05 * 2**tries))  # noqa: S311 - jitter is no secret
    raise AssertionError("the last try returns or raises")


def _is_contention(error: Exception) -> bool:
    """Return whether another process was in the way: the same award, a deadlock, a lock."""
    cause = getattr(error.__cause__, "diag", None)
    if isinstance(error, IntegrityError):
        return cause is not None and cause.constraint_name == AWARD_ONCE
    contention = {"40001", "40P01", "55P03"}
    return (
        isinstance(error, OperationalError) and cause is not None and cause.sqlstate in contention
    )


def _award_span(job: _Job, run: AwardRun, span: Span) -> Tally:
    """Judge the hosts of `span` and write what is due; four statements whatever their number.

    Call inside a transaction: ledger and scores are written both or not at all.
    """
    awards, hosts = _judge_span(job, span)
    if awards:
        _write_ledger(job, run, awards)
        scores.add_awards(
            reference_date=job.reference_date,
            points_by_user={
                user: sum(award.rule.points for award in earned) for user, earned in awards.items()
            },
        )
    return _tally(awards, hosts)


def _judge_span(job: _Job, span: Span) -> tuple[dict[int, list[Award]], int]:
    """Return host -> awards due and not yet in the ledger, and how many hosts were evaluated."""
    facts = facts_by_user(days=job.days, span=span)
    awarded = awarded_keys(
        reference_date=job.reference_date,
        rule_types=[rule.rule_type for rule in job.rules],
        span=span,
    )
    due: dict[int, list[Award]] = {}
    for user, did in facts.items():
        earned = [award for award in job.judge(did) if (user, award.rule.rule_type) not in awarded]
        if earned:
            due[user] = earned
    return due, len(facts)


def _write_ledger(job: _Job, run: AwardRun, awards: Mapping[int, Sequence[Award]]) -> None:
    """Append the awards to the ledger, in order of host, with one COPY."""
    with (
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(_COPY) as copy,
    ):
        for user, earned in awards.items():
            for rule, measured in earned:
                copy.write_row(
                    (
                        user,
                        rule.rule_type.value,
                        job.reference_date,
                        rule.points,
                        rule.version,
                        measured,
                        rule.threshold,
                        run.pk,
                    )
                )


def _tally(awards: Mapping[int, Sequence[Award]], hosts: int) -> Tally:
    tally = Tally(hosts=hosts)
    for earned in awards.values():
        for award in earned:
            tally.add_award(award.rule.rule_type.value, award.rule.points)
    return tally
