"""Short ways for tests to award a day or a week."""

from rewards.choices import Cadence
from rewards.engine.periods import Period
from rewards.selectors.time_zone import business_date
from rewards.services.awarding import run


def award_daily(*, day, is_dry_run=False, **kwargs):
    return _award(Period(Cadence.DAILY, day), is_dry_run, kwargs)


def award_weekly(*, monday, is_dry_run=False, **kwargs):
    return _award(Period(Cadence.WEEKLY, monday), is_dry_run, kwargs)


def _award(period, is_dry_run, kwargs):
    today = business_date(kwargs.pop("now"))
    if is_dry_run:
        return run.dry_run(period=period, today=today)
    return run.award(period=period, today=today, **kwargs)
