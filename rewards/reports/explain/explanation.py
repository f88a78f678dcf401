"""Why a host has, or has not, each award of a date: answered from what is stored."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from rewards.choices import RULE_TYPE_SPECS, Cadence, RuleType
from rewards.engine.business_days import monday_of
from rewards.engine.periods import Period
from rewards.models import AwardRun, DailyActivity, RewardRule, ScoreHistory, User
from rewards.reports.explain.host_period import HostPeriod, read_host_periods
from rewards.reports.explain.notes import notes_on
from rewards.reports.explain.outcome import Outcome, outcome_of
from rewards.selectors import hosts
from rewards.selectors.rules import versions_in_force
from rewards.selectors.time_zone import business_time_zone
from rewards.selectors.visible_hosts import VisibleHosts

__all__ = ["Explanation", "Outcome", "RuleExplanation", "explain", "explain_host"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleExplanation:
    """One rule: its version, the count that it was evaluated by, and the result."""

    rule_type: RuleType
    reference_date: date
    """The business day, or the Monday of its week."""
    version: RewardRule | None
    """The version in force on the last day of the period, paused or not."""
    measured: int
    outcome: Outcome
    sentence: str
    notes: tuple[str, ...]
    award: ScoreHistory | None
    run: AwardRun | None
    """The run that wrote the award; without one, the latest run of the period."""

    def to_dict(self) -> dict[str, Any]:
        version, award, run = self.version, self.award, self.run
        return {
            "rule_type": self.rule_type.value,
            "reference_date": self.reference_date.isoformat(),
            "outcome": self.outcome.value,
            "sentence": self.sentence,
            "notes": list(self.notes),
            "measured": self.measured,
            "version": version
            and {
                "starts_on": version.starts_on.isoformat(),
                "threshold": version.threshold,
                "points": version.points,
                "is_active": version.is_active,
            },
            "award": award
            and {
                "id": award.pk,
                "points": award.points,
                "measured": award.measured,
                "threshold": award.threshold,
                "written_at": award.created_at.isoformat(),
            },
            "run": run and {"id": run.pk, "attempt": run.attempt, "status": run.status},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A host and a date: every rule, and the week of the date."""

    host: User
    day: date
    week: dict[date, DailyActivity | None]
    """The seven days, in order; None where the host was not active."""
    rules: tuple[RuleExplanation, ...]

    @property
    def active_days(self) -> list[date]:
        return [day for day, activity in self.week.items() if activity is not None]

    def to_dict(self) -> dict[str, Any]:
        return {
            "host": self.host.external_id,
            "date": self.day.isoformat(),
            "active_days": [day.isoformat() for day in self.active_days],
            "rules": [rule.to_dict() for rule in self.rules],
        }


def explain(*, external_id: str, day: date, now: datetime) -> Explanation:
    """Return why the host has, or has not, each award of `day` and of its week.

    A fixed number of queries; writes nothing. Staff may ask about a user who is no host too.
    Raises UnknownHost.
    """
    user = hosts.user_by_external_id(external_id=external_id)
    if user is None:
        raise hosts.unknown_host(external_id)
    return _explain(user, day, now)


def explain_host(
    *, external_id: str, day: date, now: datetime, visible: VisibleHosts
) -> Explanation:
    """Return what `explain` does of a visible host. Raises UnknownHost."""
    return _explain(hosts.host_by_external_id(external_id=external_id, visible=visible), day, now)


def _explain(user: User, day: date, now: datetime) -> Explanation:
    periods = {
        Cadence.DAILY: Period(Cadence.DAILY, day),
        Cadence.WEEKLY: Period(Cadence.WEEKLY, monday_of(day)),
    }
    week = periods[Cadence.WEEKLY]
    activity = hosts.activity_of_host(user=user.pk, days=week.days)
    latest_entries = {
        (award.rule_type, award.reference_date): award
        for award in hosts.awards_of_host(
            user=user.pk, reference_dates={period.reference_date for period in periods.values()}
        )
    }
    awards = {key: award for key, award in latest_entries.items() if award.points > 0}
    versions = {
        cadence: versions_in_force(day=period.last_day) for cadence, period in periods.items()
    }
    host_periods = read_host_periods(
        user=user,
        day=periods[Cadence.DAILY],
        week=week,
        activity=activity,
        now=now,
        zone=business_time_zone(),
    )

    def rule(rule_type: RuleType) -> RuleExplanation:
        cadence = RULE_TYPE_SPECS[rule_type].cadence
        return _explain_rule(
            user,
            rule_type,
            host_periods[cadence],
            versions[cadence].get(rule_type),
            awards.get((rule_type.value, periods[cadence].reference_date)),
        )

    return Explanation(
        host=user,
        day=day,
        week={day: activity.get(day) for day in week.days},
        rules=tuple(rule(rule_type) for rule_type in RuleType),
    )


def _explain_rule(
    user: User,
    rule_type: RuleType,
    host_period: HostPeriod,
    version: RewardRule | None,
    award: ScoreHistory | None,
) -> RuleExplanation:
    measured = getattr(host_period.facts, RULE_TYPE_SPECS[rule_type].metric)
    outcome, sentence = outcome_of(
        user=user,
        rule_type=rule_type,
        host_period=host_period,
        version=version,
        award=award,
        measured=measured,
    )
    return RuleExplanation(
        rule_type=rule_type,
        reference_date=host_period.period.reference_date,
        version=version,
        measured=measured,
        outcome=outcome,
        sentence=sentence,
        notes=tuple(notes_on(rule_type=rule_type, host_period=host_period, outcome=outcome)),
        award=award,
        run=award.run if award else host_period.run,
    )
