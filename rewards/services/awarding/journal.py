"""The run journal: the rows of runs and of their batches."""

import logging
from dataclasses import asdict

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, Sum
from django.utils import timezone

from rewards.choices import BatchStatus, RunKind, RunStatus, RunTrigger
from rewards.engine.periods import Period
from rewards.engine.values import AwardCounts, Rule
from rewards.models import AwardBatch, AwardRun
from rewards.selectors.activity import counted_events, id_ranges_of_active_hosts
from rewards.selectors.leaders import MAX_LEADERS, leaders_of_week
from rewards.selectors.rules import active_versions, rules_of_versions, to_rule
from rewards.services.awarding.live import end_live_run
from rewards.services.db_errors import retry_on_conflict

logger = logging.getLogger("rewards.services.awarding")

MAX_TAKEOVERS = 5
"""A run fails when it was taken over this often in a row without a batch being finished."""


def open_run(period: Period, *, trigger: RunTrigger) -> tuple[AwardRun, list[Rule]]:
    """Return the interrupted run of `period`, else a new one, and its rules.

    Ends the live run of the day. Call with the exclusive lock of the period.
    """
    runs = AwardRun.objects.filter(
        cadence=period.cadence, reference_date=period.reference_date, finished_at=None
    )
    is_open = {run.kind: run for run in runs}
    if (live := is_open.get(RunKind.LIVE)) is not None:
        end_live_run(live)
    interrupted = is_open.get(RunKind.AWARD)
    if interrupted is not None and _take_over(interrupted):
        return interrupted, rules_of_versions(interrupted.rule_versions)
    return _new_run(period, trigger)


@retry_on_conflict
def _new_run(period: Period, trigger: RunTrigger) -> tuple[AwardRun, list[Rule]]:
    runs = AwardRun.objects.filter(cadence=period.cadence, reference_date=period.reference_date)
    with transaction.atomic():
        with connection.cursor() as cursor:
            # A writer of rule versions waits, and then sees this run: services/rules.py.
            cursor.execute("LOCK TABLE rewards_rewardrule IN SHARE MODE")
        rules = [to_rule(version) for version in active_versions(period=period)]
        run = AwardRun.objects.create(
            cadence=period.cadence,
            reference_date=period.reference_date,
            attempt=(runs.aggregate(last=Max("attempt"))["last"] or 0) + 1,
            trigger=trigger,
            rule_versions=[rule.version for rule in rules],
            started_at=timezone.now(),
            # Counted before the hosts are read: what arrives from now on is late activity.
            events_seen=counted_events(days=period.days),
        )
        id_ranges = id_ranges_of_active_hosts(days=period.days, size=settings.REWARDS_BATCH_SIZE)
        AwardBatch.objects.bulk_create(
            [AwardBatch(run=run, **id_range._asdict()) for id_range in id_ranges]
        )
    return run, rules


def _take_over(run: AwardRun) -> bool:
    """Take over an interrupted run; close it as failed instead after MAX_TAKEOVERS attempts."""
    if run.taken_over_at is not None and run.heartbeat_at > run.taken_over_at:
        run.takeovers = 0
    if run.takeovers < MAX_TAKEOVERS:
        run.takeovers += 1
        run.taken_over_at = timezone.now()
        run.save(update_fields=["takeovers", "taken_over_at"])
        logger.warning("run resumed: %s was interrupted", run)
        return True
    with transaction.atomic():
        run.batches.filter(status=BatchStatus.PENDING).update(
            status=BatchStatus.FAILED,
            finished_at=timezone.now(),
            error=f"{run.takeovers + 1} processes in a row ended before they had finished it.",
        )
        _sum_up(run, run.period)
    logger.error("run given up: %s was interrupted %d times", run, run.takeovers + 1)
    return False


def claim_batch(run: AwardRun) -> AwardBatch | None:
    """Return a pending batch of `run`, its row locked, or None when none is free.

    Call inside the transaction that writes the awards of the batch.
    """
    return (
        run.batches.select_for_update(skip_locked=True)
        .filter(status=BatchStatus.PENDING)
        .order_by("after_user")
        .first()
    )


def finish_batch(batch: AwardBatch, *, counts: AwardCounts) -> None:
    """Mark `batch` as done, in the transaction that wrote its awards."""
    AwardBatch.objects.filter(pk=batch.pk).update(
        status=BatchStatus.DONE, finished_at=timezone.now(), **asdict(counts)
    )


def fail_batch(batch: AwardBatch, *, error: str, is_deferred: bool) -> None:
    """Mark `batch` as failed or deferred; call after its transaction was rolled back.

    Does nothing if another process has finished the batch since.
    """
    AwardBatch.objects.filter(pk=batch.pk, status=BatchStatus.PENDING).update(
        status=BatchStatus.DEFERRED if is_deferred else BatchStatus.FAILED,
        finished_at=timezone.now(),
        error=error,
    )


def pending_hosts(run: AwardRun) -> int:
    """Return the number of hosts in pending batches of `run`."""
    pending = run.batches.filter(status=BatchStatus.PENDING)
    return pending.aggregate(hosts=Sum("hosts"))["hosts"] or 0


def progress(run: AwardRun) -> tuple[int, int]:
    """Return (batches that have ended, all batches) of `run`."""
    return run.batches.exclude(status=BatchStatus.PENDING).count(), run.batches.count()


def is_open(run: AwardRun) -> bool:
    return AwardRun.objects.filter(pk=run.pk, status=RunStatus.RUNNING).exists()


def has_pending_batches(run: AwardRun) -> bool:
    return run.batches.filter(status=BatchStatus.PENDING).exists()


@retry_on_conflict
def close_run(run: AwardRun, period: Period) -> bool:
    """End `run`, which has no pending batch: done, partial or failed.

    Sums up the batches and records the leaders. Returns False if another process has ended it.
    """
    with transaction.atomic():
        # Batches take FOR KEY SHARE on this row: none is writing when this lock is granted.
        run.refresh_from_db(from_queryset=AwardRun.objects.select_for_update())
        if run.status != RunStatus.RUNNING:
            return False
        _sum_up(run, period)
    return True


def _sum_up(run: AwardRun, period: Period) -> None:
    total = AwardCounts()
    hosts_failed = 0
    errors = []
    for batch in run.batches.order_by("after_user"):
        total.add(batch)
        if batch.status == BatchStatus.FAILED:
            hosts_failed += batch.hosts
        if batch.status != BatchStatus.DONE:
            errors.append(f"{batch}: {batch.error}")
    if not errors:
        run.status = RunStatus.DONE
    elif total.hosts_evaluated:
        run.status = RunStatus.PARTIAL
    else:
        run.status = RunStatus.FAILED
    for column, value in asdict(total).items():
        setattr(run, column, value)
    run.hosts_failed = hosts_failed
    run.leaders = leaders_of_week(monday=period.monday, limit=MAX_LEADERS)
    run.error = "\n".join(errors)
    run.finished_at = timezone.now()
    run.save()


def log_end(run: AwardRun) -> None:
    """Log the result of `run`, as an error unless it is done."""
    assert run.finished_at is not None  # noqa: S101 - for the type checker
    logger.log(
        logging.INFO if run.status == RunStatus.DONE else logging.ERROR,
        "run cadence=%s reference_date=%s status=%s attempt=%d trigger=%s hosts_evaluated=%d "
        "hosts_failed=%d awards=%d points=%d seconds=%.3f%s",
        run.cadence,
        run.reference_date,
        run.status,
        run.attempt,
        run.trigger,
        run.hosts_evaluated,
        run.hosts_failed,
        run.awards,
        run.points,
        (run.finished_at - run.started_at).total_seconds(),
        f" error={run.error!a}" if run.error else "",
    )
