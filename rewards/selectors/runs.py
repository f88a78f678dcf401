"""Runs: what the journal holds, and what is running now."""

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import NamedTuple

from django.db import connection
from django.db.models import Count, Max, Q, Sum
from django.db.models.functions import Coalesce

from rewards.choices import BatchStatus, Cadence, RunKind, RunStatus
from rewards.engine.periods import Journal, Period
from rewards.exceptions import UnknownRun
from rewards.models import AwardRun
from rewards.selectors.pages import Page, page_of
from rewards.selectors.visible_hosts import VisibleHosts

_LOCK_CLASS = {Cadence.DAILY: 0x5244, Cadence.WEEKLY: 0x5257}


def lock_key(period: Period) -> tuple[int, int]:
    """Return the key of the advisory lock that processes hold while they run `period`."""
    return _LOCK_CLASS[period.cadence], period.reference_date.toordinal()


def running_periods() -> frozenset[Period]:
    """Return the periods that a process is running now."""
    cadences = {number: cadence for cadence, number in _LOCK_CLASS.items()}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT classid::bigint, objid::bigint FROM pg_locks
            WHERE locktype = 'advisory' AND objsubid = 2
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND classid::bigint = ANY(%s)
            """,
            [list(cadences)],
        )
        return frozenset(
            Period(cadences[lock_class], date.fromordinal(day)) for lock_class, day in cursor
        )


def journals() -> dict[Period, Journal]:
    """Return the journal of each period that has award runs."""
    with connection.cursor() as cursor:
        # Only runs with failed batches count as failures: a run that only deferred batches is
        # retried without limit.
        cursor.execute(
            """
            SELECT cadence, reference_date,
                bool_or(finished_at IS NULL),
                max(events_seen) FILTER (WHERE attempt = last_done),
                max(rule_versions::text) FILTER (WHERE attempt = last_done),
                max(attempt) FILTER (WHERE finished_at IS NOT NULL) > last_done,
                count(*) FILTER (WHERE attempt > last_done AND hosts_failed > 0)
            FROM (
                SELECT *, coalesce(max(attempt) FILTER (WHERE status = 'done') OVER (
                    PARTITION BY reference_date, cadence
                ), 0) AS last_done
                FROM rewards_awardrun WHERE kind = 'award'
            ) AS runs
            GROUP BY cadence, reference_date, last_done
            """
        )
        return {
            Period(Cadence(cadence), reference_date): Journal(
                is_open=is_open,
                events_seen=seen,
                rule_versions=frozenset(json.loads(versions or "[]")),
                is_incomplete=bool(is_incomplete),
                failures=failures,
            )
            for cadence, reference_date, is_open, seen, versions, is_incomplete, failures in cursor
        }


class RunTotals(NamedTuple):
    """The results of all runs of one period that has an award run."""

    attempts: int
    """Award runs."""
    hosts: int
    """Evaluated by the latest award run."""
    hosts_rewarded: int
    """Hosts with an award."""
    awards: int
    """Of all kinds of runs, added up, as are the points."""
    points: int
    seconds: float
    """Of all award runs that have ended, added up."""
    trigger: str
    """Of the latest award run."""
    finished_at: datetime | None
    """Of the latest award run."""
    error: str
    """Of the latest award run."""


def run_totals(*, first: date, last: date) -> Mapping[Period, RunTotals]:
    """Return the totals of each period whose reference date lies in `first`..`last`."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT cadence, reference_date, count(*) FILTER (WHERE kind = 'award'),
                (array_agg(hosts_evaluated ORDER BY attempt DESC) FILTER (WHERE kind = 'award'))[1],
                sum(hosts_rewarded)::bigint, sum(awards)::bigint, sum(points)::bigint,
                coalesce(extract(epoch FROM
                    sum(finished_at - started_at) FILTER (WHERE kind = 'award')), 0)::float,
                (array_agg(trigger ORDER BY attempt DESC) FILTER (WHERE kind = 'award'))[1],
                (array_agg(finished_at ORDER BY attempt DESC) FILTER (WHERE kind = 'award'))[1],
                (array_agg(error ORDER BY attempt DESC) FILTER (WHERE kind = 'award'))[1]
            FROM rewards_awardrun
            WHERE reference_date BETWEEN %s AND %s
            GROUP BY cadence, reference_date
            HAVING bool_or(kind = 'award')
            """,
            [first, last],
        )
        return {
            Period(Cadence(cadence), reference_date): RunTotals(*totals)
            for cadence, reference_date, *totals in cursor
        }


def latest_evaluated_day() -> date | None:
    """Return the latest business day that an award run has evaluated."""
    runs = AwardRun.objects.filter(cadence=Cadence.DAILY, kind=RunKind.AWARD)
    latest: date | None = runs.aggregate(latest=Max("reference_date"))["latest"]
    return latest


def open_live_runs() -> list[AwardRun]:
    """Return the live runs that have not ended, oldest first."""
    runs = AwardRun.objects.filter(kind=RunKind.LIVE, finished_at=None)
    return list(runs.order_by("reference_date"))


class OpenRun(NamedTuple):
    """A run that has started and not ended, and its progress."""

    cadence: str
    reference_date: date
    attempt: int
    started_at: datetime
    batches_done: int
    batches: int
    awards: int


def open_runs() -> list[OpenRun]:
    """Return the runs that have started and not ended, oldest first."""
    rows = (
        AwardRun.objects.filter(status=RunStatus.RUNNING)
        .annotate(
            batches_done=Count("batches", filter=~Q(batches__status=BatchStatus.PENDING)),
            all_batches=Count("batches"),
            written=Coalesce(Sum("batches__awards"), 0),
        )
        .order_by("started_at")
        .values_list(*OpenRun._fields[:4], "batches_done", "all_batches", "written")
    )
    return [OpenRun(*row) for row in rows]


def run_by_id(*, run: int, visible: VisibleHosts) -> AwardRun:
    """Return a run. Raises UnknownRun."""
    found = AwardRun.objects.filter(pk=run).first()
    if found is None:
        raise UnknownRun(f"There is no run {run!s:.80}.")
    return found


class RunPlace(NamedTuple):
    """The place of a run in the journal."""

    reference_date: date
    cadence: str
    attempt: int


def runs_page(
    *, first: date, last: date, after: RunPlace | None, limit: int, visible: VisibleHosts
) -> Page[AwardRun, RunPlace]:
    """Return `limit` runs whose reference date lies in `first`..`last`, latest date first."""
    runs = AwardRun.objects.filter(reference_date__range=(first, last))
    if after:
        day, cadence, attempt = after
        runs = runs.filter(reference_date__lte=day).filter(
            Q(reference_date__lt=day)
            | Q(cadence__lt=cadence)
            | Q(cadence=cadence, attempt__lt=attempt)
        )
    rows = list(runs.order_by("-reference_date", "-cadence", "-attempt")[: limit + 1])
    return page_of(
        rows,
        limit=limit,
        key=lambda run: RunPlace(run.reference_date, run.cadence, run.attempt),
    )
