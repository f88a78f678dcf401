"""The run journal: what was executed, over which period, and what came of it."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone

from rewards.choices import Cadence, RunStatus, RunTrigger, ShardStatus
from rewards.exceptions import AlreadyRunning
from rewards.models import AwardRun, AwardShard
from rewards.selectors.activity import counted_events, spans_of_active_hosts

logger = logging.getLogger(__name__)

LOCK_CLASS = {Cadence.DAILY: 0x5244, Cadence.WEEKLY: 0x5257}
"""First half of a run's advisory lock key; the second is the ordinal of its reference date."""


@dataclass(kw_only=True)
class Tally:
    """What a shard, a run or several runs came to."""

    hosts: int = 0
    """Hosts evaluated, whether they earned or not."""
    awards: int = 0
    points: int = 0
    by_rule: dict[str, dict[str, int]] = field(default_factory=dict)
    """For each rule type {"awards": number, "points": sum}."""

    def add_award(self, rule_type: str, points: int) -> None:
        """Count one award."""
        self._add(rule_type, 1, points)

    def add(self, other: "Tally") -> None:
        """Count all that `other` counted."""
        self.hosts += other.hosts
        for rule_type, counts in other.by_rule.items():
            self._add(rule_type, counts["awards"], counts["points"])

    def _add(self, rule_type: str, awards: int, points: int) -> None:
        counts = self.by_rule.setdefault(rule_type, {"awards": 0, "points": 0})
        counts["awards"] += awards
        counts["points"] += points
        self.awards += awards
        self.points += points


@contextmanager
def held(*, cadence: Cadence, reference_date: date) -> Iterator[None]:
    """Keep any other process from running the same reference date.

    The lock belongs to the database session, so PostgreSQL frees it when the process dies. It
    only saves work: that no award is paid twice is for the ledger's constraint. Raises
    AlreadyRunning.
    """
    key = [LOCK_CLASS[cadence], reference_date.toordinal()]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", key)
        (is_free,) = cursor.fetchone()
    if not is_free:
        raise AlreadyRunning(
            f"award_{cadence} of {reference_date} is running already in another process; "
            "nothing was done."
        )
    try:
        yield
    finally:
        # A connection that was lost has taken the lock with it.
        if connection.is_usable():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", key)


def open_run(
    *, cadence: Cadence, reference_date: date, days: Sequence[date], trigger: RunTrigger
) -> AwardRun:
    """Return the run to be worked on: the one a dead process left open, else a new one.

    A new run counts the activity of `days` before anyone reads it, so that whatever arrives
    from then on shows as late, and is split into shards of REWARDS_BATCH_SIZE active hosts.
    Call while the run is `held`.
    """
    runs = AwardRun.objects.filter(cadence=cadence, reference_date=reference_date)
    left_open = runs.filter(status=RunStatus.RUNNING).first()
    if left_open is not None:
        logger.warning("run resumed: %s was interrupted", left_open)
        return left_open

    with transaction.atomic():
        run = AwardRun.objects.create(
            cadence=cadence,
            reference_date=reference_date,
            attempt=(runs.aggregate(last=Max("attempt"))["last"] or 0) + 1,
            trigger=trigger,
            started_at=timezone.now(),
            events_seen=counted_events(days=days),
        )
        AwardShard.objects.bulk_create(
            AwardShard(run=run, after_user=span.after_user, through_user=span.through_user)
            for span in spans_of_active_hosts(days=days, size=settings.REWARDS_BATCH_SIZE)
        )
    return run


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
    shard.hosts_evaluated = tally.hosts
    shard.awards = tally.awards
    shard.points = tally.points
    shard.by_rule = tally.by_rule
    shard.save(
        update_fields=["status", "hosts_evaluated", "awards", "points", "by_rule"],
    )


def fail_shard(shard: AwardShard, *, error: str) -> None:
    """Mark `shard` as failed, its own transaction having been rolled back."""
    shard.status = ShardStatus.FAILED
    shard.error = error
    shard.save(update_fields=["status", "error"])


def close_run(run: AwardRun) -> Tally:
    """Add up the shards of `run` and mark its end: done, partial or failed."""
    total = Tally()
    failures = []
    for shard in run.shards.order_by("after_user"):
        total.add(Tally(hosts=shard.hosts_evaluated, by_rule=shard.by_rule))
        if shard.status == ShardStatus.FAILED:
            failures.append(f"{shard}: {shard.error}")
    if not failures:
        run.status = RunStatus.DONE
    elif total.hosts:
        run.status = RunStatus.PARTIAL
    else:
        run.status = RunStatus.FAILED
    run.hosts_evaluated = total.hosts
    run.awards = total.awards
    run.points = total.points
    run.by_rule = total.by_rule
    run.error = "\n".join(failures)
    run.finished_at = timezone.now()
    run.save()
    return total
