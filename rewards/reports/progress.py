"""Where a host stands today: its scores, its rules, its week and its streak."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from rewards.choices import RULE_TYPE_SPECS, Cadence, RuleType
from rewards.engine.business_days import monday_of
from rewards.engine.periods import Period
from rewards.models import DailyActivity, Host, Score
from rewards.reports.explain.host_period import facts_of
from rewards.selectors import hosts
from rewards.selectors.eligibility import is_eligible
from rewards.selectors.rules import versions_of_periods
from rewards.selectors.time_zone import business_date
from rewards.selectors.visible_hosts import VisibleHosts

__all__ = ["Progress", "RuleProgress", "progress"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleProgress:
    """What a host has done of a rule in the period that is open, and what the rule pays."""

    rule_type: RuleType
    reference_date: date
    """Today, or the Monday of this week."""
    measured: int
    threshold: int
    points: int
    is_awarded: bool

    def to_dict(self) -> dict[str, Any]:
        return {
            "rule_type": self.rule_type.value,
            "reference_date": self.reference_date.isoformat(),
            "measured": self.measured,
            "threshold": self.threshold,
            "points": self.points,
            "awarded": self.is_awarded,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A host on the business day that is open."""

    host: Host
    today: date
    lifetime: int
    weekly: int
    """The points of this week; 0 while it has none."""
    daily: int
    """The points of today; 0 while it has none."""
    rules: tuple[RuleProgress, ...]
    """Those that the host can earn, or has, today and this week."""
    active_days: tuple[date, ...]
    """Of this week, in order."""
    streak: int

    def to_dict(self) -> dict[str, Any]:
        week = monday_of(self.today).isoformat()
        return {
            "user_id": self.host.external_id,
            "left_on": self.host.left_on and self.host.left_on.isoformat(),
            "date": self.today.isoformat(),
            "scores": {
                "lifetime": {"points": self.lifetime},
                "weekly": {"week": week, "points": self.weekly},
                "daily": {"date": self.today.isoformat(), "points": self.daily},
            },
            "rules": [rule.to_dict() for rule in self.rules],
            "active_days": [day.isoformat() for day in self.active_days],
            "streak": self.streak,
        }


def progress(*, external_id: str, now: datetime, visible: VisibleHosts) -> Progress:
    """Return where the host stands at `now`. Five queries. Raises UnknownHost."""
    host = hosts.host_by_external_id(external_id=external_id, visible=visible)
    today = business_date(now)
    day, week = Period(Cadence.DAILY, today), Period(Cadence.WEEKLY, monday_of(today))
    activity = hosts.activity_of_host(user=host.pk, days=week.days)
    score: Score | None = getattr(host, "score", None)
    return Progress(
        host=host,
        today=today,
        lifetime=score.lifetime if score else 0,
        # The score of a period that is over stays until the next run or award sets it back.
        weekly=score.weekly if score and score.week_start == week.reference_date else 0,
        daily=score.daily if score and score.daily_date == today else 0,
        rules=tuple(_rules(host, day, week, activity.values())),
        active_days=tuple(sorted(activity)),
        streak=hosts.streak_of_host(user=host.pk, today=today),
    )


def _rules(
    host: Host, day: Period, week: Period, activity: Collection[DailyActivity]
) -> Iterable[RuleProgress]:
    """Yield the progress of each rule that is not paused, where the host is eligible."""
    periods = {period.cadence: period for period in (day, week)}
    facts = {
        cadence: facts_of([row for row in activity if row.date in period.days])
        for cadence, period in periods.items()
    }
    awarded = hosts.awarded_rules(
        user=host.pk, reference_dates={period.reference_date for period in periods.values()}
    )
    for rule_type, version in versions_of_periods(day=day, week=week).items():
        spec = RULE_TYPE_SPECS[rule_type]
        period = periods[spec.cadence]
        if version.is_active and is_eligible(host, day=period.last_day):
            yield RuleProgress(
                rule_type=rule_type,
                reference_date=period.reference_date,
                measured=getattr(facts[spec.cadence], spec.metric),
                threshold=version.threshold,
                points=version.points,
                is_awarded=(rule_type.value, period.reference_date) in awarded,
            )
