"""Award what is due, which is read from the database, never from a schedule."""

import time
from dataclasses import dataclass
from datetime import datetime

from rewards.choices import RunTrigger
from rewards.engine.periods import Period, due_periods
from rewards.exceptions import AlreadyRunning
from rewards.selectors.periods import period_statuses
from rewards.selectors.time_zone import business_date
from rewards.services.awarding.live import refresh_live_runs
from rewards.services.awarding.options import SINGLE_PROCESS, RunOptions
from rewards.services.awarding.run import RunReport, award

MAX_PERIODS = 100
"""Periods awarded by one call; the next call continues."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DueReport:
    """The result of one call of award_due."""

    runs: tuple[RunReport, ...]
    """Oldest period first; late activity last."""
    busy: tuple[str, ...]
    """A sentence for each period that another process is working on."""
    is_complete: bool
    """Whether nothing is left that this call could have awarded."""


def award_due(
    *, now: datetime, trigger: RunTrigger, options: RunOptions = SINGLE_PROCESS
) -> DueReport:
    """Award every closed day and week with activity that has no done run, oldest first.

    A week comes after its days. Then come the days of the last REWARDS_GRACE_DAYS with late
    activity, and their weeks. A period is due again when a rule was added for it since. One call
    tries each period once, and MAX_PERIODS at most. A second call awards what has become due since;
    two calls at once share the work. The counts of live runs are brought up to date first.
    """
    runs: list[RunReport] = []
    busy: list[str] = []
    tried: set[Period] = set()
    today = business_date(now)
    refresh_live_runs(today=today)
    while len(tried) < MAX_PERIODS and time.monotonic() < options.deadline:
        due = (status.period for status in due_periods(period_statuses(now=now)))
        period = next((period for period in due if period not in tried), None)
        if period is None:
            return DueReport(runs=tuple(runs), busy=tuple(busy), is_complete=True)
        tried.add(period)
        try:
            runs.append(award(period=period, today=today, trigger=trigger, options=options))
        except AlreadyRunning as other:
            busy.append(str(other))
    return DueReport(runs=tuple(runs), busy=tuple(busy), is_complete=False)
