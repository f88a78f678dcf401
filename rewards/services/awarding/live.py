"""Live awards: paid in the transaction that stores the event that earns them.

The live run of a business day is attempt 0 of it. It takes awards until the first award run of the
day opens, which pays whatever the live run has missed. Nothing depends on live awards.
"""

import logging
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from rewards.choices import Cadence, RunKind, RunStatus, RunTrigger
from rewards.engine.periods import Period
from rewards.engine.values import Award, Facts
from rewards.models import AwardRun
from rewards.selectors.database import database_key, database_time
from rewards.selectors.leaders import MAX_LEADERS, leaders_of_week
from rewards.selectors.ledger import awarded_types_of_users, counts_of_run
from rewards.selectors.rules import active_versions, rules_of_versions, to_rule
from rewards.selectors.runs import lock_key, open_live_runs
from rewards.services.awarding.ledger import AwardsByUser, Job, write_awards
from rewards.services.db_errors import first_line, is_connection_lost, retry_on_conflict

logger = logging.getLogger(__name__)


class Crossing(NamedTuple):
    """The facts of a host and business day before and after a request."""

    user: int
    before: Facts
    after: Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRun:
    """A live run that takes awards, as a process keeps it for the day."""

    run_id: int
    job: Job


_kept: dict[tuple[object, ...], LiveRun] = {}
"""Database -> the live run that this process used last.

Its rule versions never change: set_rule refuses another version of their types for its day.
"""

PAUSE_SECONDS = 10
"""How long a process does not try again to open a live run, when it could not."""

_paused_until: dict[tuple[object, ...], float] = {}
"""Database -> time.monotonic()."""


def live_run_of(day: date, *, lock_timeout: str) -> LiveRun | None:
    """Return the live run of `day`, today, or None when the day takes no live awards.

    The first call of a day opens the run, in a transaction of its own. There is none with
    REWARDS_LIVE off, without a rule in force, while it is held and after it has ended; nor while
    another process keeps a lock for longer than `lock_timeout`, as an editor of rules can.
    """
    if not settings.REWARDS_LIVE:
        return None
    kept = _kept.get(database_key())
    if kept is None or kept.job.period.reference_date != day:
        kept = _open(Period(Cadence.DAILY, day), lock_timeout)
        if kept is not None:
            _kept[database_key()] = kept
    return kept


def forget_live_run() -> None:
    """Let the next request read the live run again: it has ended, or is held."""
    _kept.pop(database_key(), None)


def forget_all() -> None:
    """Be as a new process: for tests."""
    _kept.clear()
    _paused_until.clear()


def _open(period: Period, lock_timeout: str) -> LiveRun | None:
    runs = AwardRun.objects.filter(
        cadence=period.cadence, reference_date=period.reference_date
    ).exclude(kind=RunKind.UNDO)
    run = runs.order_by("attempt").first()
    is_paused = time.monotonic() < _paused_until.get(database_key(), 0)
    if run is None and not is_paused and active_versions(period=period):
        try:
            run = _new_live_run(period, lock_timeout)
        except DatabaseError as error:
            if is_connection_lost(error):
                raise
            _paused_until[database_key()] = time.monotonic() + PAUSE_SECONDS
            logger.warning("No live run was opened: %s", first_line(error))
    if run is None or run.status != RunStatus.LIVE:
        return None
    return LiveRun(run_id=run.pk, job=Job(period, rules_of_versions(run.rule_versions)))


def _new_live_run(period: Period, lock_timeout: str) -> AwardRun | None:
    """Open the live run of `period`, unless an award run works on it or there is no rule."""
    with transaction.atomic(), connection.cursor() as cursor:
        # Held by an award run from before it opens. Released with this transaction.
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock_shared(%s, %s), set_config('lock_timeout', %s, true)",
            [*lock_key(period), lock_timeout],
        )
        is_acquired, _ = cursor.fetchone()
        if not is_acquired:
            return None
        # A writer of rule versions waits, and then sees this run: services/rules.py.
        cursor.execute("LOCK TABLE rewards_rewardrule IN SHARE MODE")
        versions = active_versions(period=period)
        runs = AwardRun.objects.filter(
            cadence=period.cadence, reference_date=period.reference_date, attempt__gte=1
        )
        if not versions or runs.exists():
            return None
        run, _ = AwardRun.objects.get_or_create(
            cadence=period.cadence,
            reference_date=period.reference_date,
            attempt=0,
            defaults={
                "kind": RunKind.LIVE,
                "status": RunStatus.LIVE,
                "trigger": RunTrigger.API,
                "rule_versions": [to_rule(version).version for version in versions],
                "started_at": timezone.now(),
                "events_seen": 0,
            },
        )
    return run


def pay(live: LiveRun, crossings: Collection[Crossing], *, looks_up: bool) -> AwardsByUser:
    """Pay what hosts have earned with a request, and return it; call where events are stored.

    An award is due when the facts after the request earn it and those before did not. A host that
    has the award already makes the ledger's constraint refuse; with `looks_up` such awards are
    left out, at the cost of a query.
    """
    due = {
        crossing.user: earned
        for crossing in sorted(crossings)
        if (earned := _newly_earned(live.job, crossing))
    }
    if due and looks_up:
        paid = awarded_types_of_users(reference_date=live.job.period.reference_date, users=due)
        due = {
            user: unpaid
            for user, earned in due.items()
            if (unpaid := [a for a in earned if (user, a.rule.rule_type) not in paid])
        }
    if due:
        write_awards(live.job, run_id=live.run_id, awards=due)
    return due


def _newly_earned(job: Job, crossing: Crossing) -> Sequence[Award]:
    before = {award.rule for award in job.awards_for(crossing.before)}
    return [award for award in job.awards_for(crossing.after) if award.rule not in before]


# --- Counting and ending -------------------------------------------------------------------------


@retry_on_conflict
def end_live_run(run: AwardRun) -> None:
    """End `run`, a live run. Waits for the awards that are being written, and counts them."""
    with transaction.atomic():
        run = AwardRun.objects.select_for_update().get(pk=run.pk)
        if run.finished_at is not None:
            return
        _count(run)
        run.status = RunStatus.DONE
        run.finished_at = run.counted_at
        run.save()


def refresh_live_runs(*, today: date) -> None:
    """Add up what live runs have paid so far, so that no page has to; end those of earlier days.

    What fails is logged: the next call does it.
    """
    try:
        for run in open_live_runs():
            if run.reference_date < today and run.status == RunStatus.LIVE:
                end_live_run(run)
            else:
                _refresh(run)
    except DatabaseError as error:
        if is_connection_lost(error):
            raise
        logger.warning("Live runs were not added up: %s", first_line(error))


def _refresh(run: AwardRun) -> None:
    _count(run)
    columns = ("awards", "points", "by_rule", "hosts_rewarded", "leaders", "counted_at")
    AwardRun.objects.filter(pk=run.pk, finished_at=None).update(
        **{column: getattr(run, column) for column in columns}
    )


def _count(run: AwardRun) -> None:
    # By the clock of the database, as the awards; what is written from now on may be missing.
    run.counted_at = database_time()
    counts = counts_of_run(run=run.pk, reference_date=run.reference_date)
    run.awards = counts.awards
    run.points = counts.points
    run.by_rule = counts.by_rule
    run.hosts_rewarded = run.hosts_evaluated = counts.hosts_rewarded
    run.leaders = leaders_of_week(monday=run.period.monday, limit=MAX_LEADERS)
