"""Why a host has, or has not, what it has for a date: answered from what is written down."""

from dataclasses import dataclass
from datetime import date, datetime

from rewards.choices import RULE_TYPE_SPECS, Cadence, RuleType
from rewards.engine.business_days import monday_of, sunday_of, week_days
from rewards.exceptions import UnknownHost
from rewards.models import AwardRun, DailyActivity, RewardRule, ScoreHistory, User
from rewards.reports.explain.notes import notes_on
from rewards.reports.explain.outcome import Outcome, outcome_of
from rewards.reports.explain.period import Period, read_periods
from rewards.selectors import hosts
from rewards.selectors.rules import versions_in_force
from rewards.selectors.time_zone import business_time_zone

__all__ = ["Explanation", "Outcome", "RuleExplanation", "explain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleExplanation:
    """One rule: what it asked for, what was counted, and what came of it."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A host and a date, rule by rule, and the week that the date belongs to."""

    host: User
    day: date
    week: dict[date, DailyActivity | None]
    """The seven days, in order; None where the host was not active."""
    rules: tuple[RuleExplanation, ...]


def explain(*, external_id: str, day: date, now: datetime) -> Explanation:
    """Return why the host has, or has not, each award of `day` and of its week.

    In a fixed number of queries, and nothing is written. Raises UnknownHost.
    """
    user = hosts.user_named(external_id=external_id)
    if user is None:
        raise UnknownHost(f"no host has the external id {external_id!a:.80}.")
    monday = monday_of(day)
    week = week_days(monday)
    spans = {Cadence.DAILY: [day], Cadence.WEEKLY: week}

    activity = hosts.activity_of_host(user=user.pk, days=week)
    awards = {
        (award.rule_type, award.reference_date): award
        for award in hosts.awards_of_host(user=user.pk, reference_dates={day, monday})
    }
    versions = {
        Cadence.DAILY: versions_in_force(day=day),
        Cadence.WEEKLY: versions_in_force(day=sunday_of(monday)),
    }
    zone = business_time_zone()
    periods = read_periods(user=user, spans=spans, activity=activity, now=now, zone=zone)

    def rule(rule_type: RuleType) -> RuleExplanation:
        cadence = RULE_TYPE_SPECS[rule_type].cadence
        return _explain_rule(
            user,
            rule_type,
            periods[cadence],
            versions[cadence].get(rule_type),
            awards.get((rule_type.value, spans[cadence][0])),
        )

    return Explanation(
        host=user,
        day=day,
        week={each: activity.get(each) for each in week},
        rules=tuple(rule(rule_type) for rule_type in RuleType),
    )


def _explain_rule(
    user: User,
    rule_type: RuleType,
    period: Period,
    version: RewardRule | None,
    award: ScoreHistory | None,
) -> RuleExplanation:
    measured = getattr(period.facts, RULE_TYPE_SPECS[rule_type].metric)
    outcome, sentence = outcome_of(
        user=user,
        rule_type=rule_type,
        period=period,
        version=version,
        award=award,
        measured=measured,
    )
    return RuleExplanation(
        rule_type=rule_type,
        reference_date=period.days[0],
        version=version,
        measured=measured,
        outcome=outcome,
        sentence=sentence,
        notes=tuple(notes_on(rule_type=rule_type, period=period, outcome=outcome)),
        award=award,
        run=award.run if award else period.run,
    )
