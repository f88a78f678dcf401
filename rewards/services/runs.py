"""The run journal: what was executed, over which period, and what came of it."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone

from rewards.calendar import monday_of
from rewards.choices import Cadence, RunStatus, RunTrigger, ShardStatus
from rewards.exceptions import AlreadyRunning
from rewards.models import AwardRun, AwardShard
from rewards.rules.periods import days_of_period
from rewards.selectors.activity import counted_events, spans_of_active_hosts
from rewards.selectors.leaders import leaders_of_week
from rewards.selectors.rules import rules_in_force
from rewards.selectors.runs import lock_key
from rewards.services.contention import retried

logger = logging.getLogger(__name__)

MAX_TAKEOVERS = 5
"""So often in a row may a run be taken over without a shard being finished, before it fails."""

MAX_LEADERS = 100
"""Hosts that a run names as the leaders of its week."""


@dataclass(kw_only=True)
class Tally:
    """What a shard, a run or several runs came to."""

    hosts: int = 0
    """Hosts evaluated, whether they earned or not."""
    rewarded: int = 0
    """Hosts whose first award for the reference date this is."""
    awards: int = 0
    points: int = 0
    by_rule: dict[str, dict[str, int]] = field(default_factory=dict)
    """For each rule type {"awards": number, "points": sum}."""

    def add(self, other: "Tally") -> None:
        """Count all that `other` counted."""
        self.hosts += other.hosts
        self.rewarded += other.rewarded
        for rule_type, counts in other.by_rule.items():
            self.add_awards(rule_type, counts["awards"], counts["points"])

    def add_awards(self, rule_type: str, awards: int, points: int) -> None:
        """Count awards of one rule type that came to `points` together."""
        counts = self.by_rule.setdefault(rule_type, {"awards": 0, "points": 0})
        counts["awards"] += awards
        counts["points"] += points
        self.awards += awards
        self.points += points


def tally_of(run: AwardRun) -> Tally:
    """Return what a run that has ended came to."""
    tally = Tally()
    tally.add(Tally(hosts=run.hosts_evaluated, rewarded=run.rewarded, by_rule=run.by_rule))
    return tally


# --- Being alive ------------------------------------------------------------------------------
#
# A run is alive while a process holds its advisory lock. Whoever opens a run holds it exclusively
# for that moment, and from then on shares it with all who work on the run. PostgreSQL frees it
# when the process dies. It only saves work: that no award is paid twice is for the ledger's
# constraint.

_LOCK = "SELECT pg_try_advisory_lock(%s, %s)"
_UNLOCK = "SELECT pg_advisory_unlock(%s, %s)"
_SHARE = "SELECT pg_try_advisory_lock_shared(%s, %s)"
_UNSHARE = "SELECT pg_advisory_unlock_shared(%s, %s)"


@contextmanager
def opened(*, cadence: Cadence, reference_date: date, trigger: RunTrigger) -> Iterator[AwardRun]:
    """Open the run to be worked on, and keep it alive: an interrupted one, else a new one.

    Raises AlreadyRunning while any other process works on a run of the same period.
    """
    key = lock_key(cadence, reference_date)
    with ExitStack() as held:
        with _lock(key, take=_LOCK, release=_UNLOCK) as is_ours:
            if not is_ours:
                raise AlreadyRunning(_who_is_running(cadence, reference_date))
            run = _open_run(cadence, reference_date, trigger)
            # Before the exclusive lock is let go, so that nobody can come between.
            held.enter_context(_lock(key, take=_SHARE, release=_UNSHARE))
        yield run


@contextmanager
def joined(run: AwardRun) -> Iterator[None]:
    """Keep `run` alive beside the others who work on it.

    Raises AlreadyRunning when another process is just opening a run of the same period.
    """
    cadence, reference_date = Cadence(run.cadence), run.reference_date
    key = lock_key(cadence, reference_date)
    with _lock(key, take=_SHARE, release=_UNSHARE) as is_ours:
        if not is_ours:
            raise AlreadyRunning(_who_is_running(cadence, reference_date))
        yield


@contextmanager
def _lock(key: tuple[int, int], *, take: str, release: str) -> Iterator[bool]:
    """Try to take an advisory lock, and let it go in the end; yield whether it was free."""
    with connection.cursor() as cursor:
        cursor.execute(take, key)
        (is_ours,) = cursor.fetchone()
    try:
        yield is_ours
    finally:
        # A connection that was lost has taken the lock with it.
        if is_ours and connection.is_usable():
            with connection.cursor() as cursor:
                cursor.execute(release, key)


def _who_is_running(cadence: Cadence, reference_date: date) -> str:
    run = AwardRun.objects.filter(
        cadence=cadence, reference_date=reference_date, status=RunStatus.RUNNING
    ).first()
    other = (
        f"attempt {run.attempt}, begun {run.started_at:%Y-%m-%d %H:%M:%S} UTC by the "
        f"{run.get_trigger_display().lower()}"
        if run
        else "it is just being opened"
    )
    return (
        f"award_{cadence} of {reference_date} is running already in another process ({other}); "
        "nothing was done."
    )


# --- Opening ----------------------------------------------------------------------------------


def _open_run(cadence: Cadence, reference_date: date, trigger: RunTrigger) -> AwardRun:
    """Return the run that dead processes left open, else a new one.

    A new run counts the activity of its days before anyone reads it, so that whatever arrives
    from then on shows as late, and is split into shards of REWARDS_BATCH_SIZE active hosts.
    """
    runs = AwardRun.objects.filter(cadence=cadence, reference_date=reference_date)
    left_open = runs.filter(status=RunStatus.RUNNING).first()
    if left_open is not None and _taken_over(left_open):
        return left_open
    return retried(lambda: _new_run(cadence, reference_date, trigger), label="opening of a run")


def _new_run(cadence: Cadence, reference_date: date, trigger: RunTrigger) -> AwardRun:
    days = days_of_period(cadence, reference_date)
    runs = AwardRun.objects.filter(cadence=cadence, reference_date=reference_date)
    with transaction.atomic():
        with connection.cursor() as cursor:
            # Whoever writes a rule version waits, and then sees this run: see services.rules.
            cursor.execute("LOCK TABLE rewards_rewardrule IN SHARE MODE")
        run = AwardRun.objects.create(
            cadence=cadence,
            reference_date=reference_date,
            attempt=(runs.aggregate(last=Max("attempt"))["last"] or 0) + 1,
            trigger=trigger,
            rule_versions=[rule.version for rule in rules_in_force(cadence=cadence, day=days[-1])],
            started_at=timezone.now(),
            events_seen=counted_events(days=days),
        )
        AwardShard.objects.bulk_create(
            AwardShard(
                run=run,
                after_user=span.after_user,
                through_user=span.through_user,
                hosts=span.hosts,
            )
            for span in spans_of_active_hosts(days=days, size=settings.REWARDS_BATCH_SIZE)
        )
    return run


def _taken_over(run: AwardRun) -> bool:
    """Take `run` over from dead processes; close it instead if that leads nowhere."""
    if run.taken_over_at is not None and run.heartbeat_at > run.taken_over_at:
        run.takeovers = 0
    if run.takeovers < MAX_TAKEOVERS:
        run.takeovers += 1
        run.taken_over_at = timezone.now()
        run.save(update_fields=["takeovers", "taken_over_at"])
        logger.warning("run resumed: %s was interrupted", run)
        return True
    with transaction.atomic():
        run.shards.filter(status=ShardStatus.PENDING).update(
            status=ShardStatus.FAILED,
            finished_at=timezone.now(),
            error=f"{run.takeovers + 1} processes in a row died before they had finished it.",
        )
        close_run(run)
    logger.error("run given up: %s was interrupted %d times", run, run.takeovers + 1)
    return False


# --- Shards -----------------------------------------------------------------------------------


def take_shard(run: AwardRun) -> AwardShard | None:
    """Return a pending shard of `run` that nobody else holds, locked, or None.

    Call inside the transaction that writes the shard's awards.
    """
    return (
        run.shards.select_for_update(skip_locked=True)
        .filter(status=ShardStatus.PENDING)
        .order_by("after_user")
        .first()
    )


def finish_shard(shard: AwardShard, *, tally: Tally) -> None:
    """Mark `shard` as done, in the transaction that wrote its awards."""
    shard.status = ShardStatus.DONE
    shard.finished_at = timezone.now()
    shard.hosts_evaluated = tally.hosts
    shard.rewarded = tally.rewarded
    shard.awards = tally.awards
    shard.points = tally.points
    shard.by_rule = tally.by_rule
    shard.save(
        update_fields=[
            "status",
            "finished_at",
            "hosts_evaluated",
            "rewarded",
            "awards",
            "points",
            "by_rule",
        ],
    )


def fail_shard(shard: AwardShard, *, error: str, is_deferred: bool = False) -> None:
    """Mark `shard` as failed, or deferred, its own transaction having been rolled back.

    Unless another process has taken it meanwhile, and was luckier.
    """
    AwardShard.objects.filter(pk=shard.pk, status=ShardStatus.PENDING).update(
        status=ShardStatus.DEFERRED if is_deferred else ShardStatus.FAILED,
        finished_at=timezone.now(),
        error=error,
    )


def progress(run: AwardRun) -> tuple[int, int]:
    """Return (shards judged, shards in all) of `run`, whoever judged them."""
    return run.shards.exclude(status=ShardStatus.PENDING).count(), run.shards.count()


# --- Closing ----------------------------------------------------------------------------------


def is_judged(run: AwardRun) -> bool:
    """Return whether every shard of `run` has been judged, having locked and refreshed its row.

    Of processes that finish at the same time, the last one to ask is told that all are done.
    Call inside the transaction that closes the run.
    """
    # Not against the batches, which hold the key of the run that their awards name.
    run.refresh_from_db(from_queryset=AwardRun.objects.select_for_update(no_key=True))
    return not run.shards.filter(status=ShardStatus.PENDING).exists()


def close_run(run: AwardRun) -> None:
    """Add up the shards of `run`, note who leads, and mark its end: done, partial or failed."""
    total = Tally()
    rejected = 0
    failures = []
    for shard in run.shards.order_by("after_user"):
        total.add(
            Tally(hosts=shard.hosts_evaluated, rewarded=shard.rewarded, by_rule=shard.by_rule)
        )
        if shard.status == ShardStatus.FAILED:
            rejected += shard.hosts
        if shard.status != ShardStatus.DONE:
            failures.append(f"{shard}: {shard.error}")
    if not failures:
        run.status = RunStatus.DONE
    elif total.hosts:
        run.status = RunStatus.PARTIAL
    else:
        run.status = RunStatus.FAILED
    run.hosts_evaluated = total.hosts
    run.rewarded = total.rewarded
    run.rejected = rejected
    run.awards = total.awards
    run.points = total.points
    run.by_rule = total.by_rule
    run.leaders = leaders_of_week(monday=monday_of(run.reference_date), limit=MAX_LEADERS)
    run.error = "\n".join(failures)
    run.finished_at = timezone.now()
    run.save()
