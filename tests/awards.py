"""Short ways for tests to award a day or a week."""

from datetime import UTC, datetime

from rewards.choices import Cadence, RunTrigger
from rewards.engine.periods import Period
from rewards.selectors.time_zone import business_date
from rewards.services.awarding import run

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
"""The Tuesday after the week of tests.factories.A_MONDAY."""


def award_daily(*, day, is_dry_run=False, **kwargs):
    return _award(Period(Cadence.DAILY, day), is_dry_run, kwargs)


def award_weekly(*, monday, is_dry_run=False, **kwargs):
    return _award(Period(Cadence.WEEKLY, monday), is_dry_run, kwargs)


def _award(period, is_dry_run, kwargs):
    today = business_date(kwargs.pop("now", NOW))
    if is_dry_run:
        return run.dry_run(period=period, today=today, **kwargs)
    return run.award(period=period, today=today, **{"trigger": RunTrigger.COMMAND} | kwargs)
