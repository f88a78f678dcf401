"""The result of a rule for a host and a period, and the reason for it."""

import enum

from rewards.choices import RULE_TYPE_SPECS, Cadence, RuleType, RunKind, RunStatus
from rewards.engine.evaluators import evaluate
from rewards.models import RewardRule, ScoreHistory, User
from rewards.reports.explain.host_period import HostPeriod
from rewards.selectors.eligibility import is_eligible
from rewards.selectors.rules import to_rule
from rewards.wording import count


class Outcome(enum.StrEnum):
    """The result of a rule for a host and a period."""

    AWARDED = "awarded"
    NOT_ACTIVE = "host not active then"
    NO_VERSION = "no version yet"
    PAUSED = "paused"
    NOT_CLOSED = "not yet closed"
    NOT_EARNED = "not earned"
    NOT_RUN = "not run yet"
    INTERRUPTED = "run not finished"
    FAILED = "batch failed"
    DUE = "due at the next run"


def outcome_of(
    *,
    user: User,
    rule_type: RuleType,
    host_period: HostPeriod,
    version: RewardRule | None,
    award: ScoreHistory | None,
    measured: int,
) -> tuple[Outcome, str]:
    """Return the outcome and a sentence with its reason; conditions are tested as awarding does."""
    period, today = host_period.period, host_period.today
    if award is not None and award.evidence is not None:
        score = _score(rule_type, *award.evidence)
        return Outcome.AWARDED, f"{score}: paid {_paid(award, host_period)}."
    if not is_eligible(user, day=period.last_day):
        return Outcome.NOT_ACTIVE, _why_ineligible(user, host_period)
    if version is None:
        return Outcome.NO_VERSION, f"No version of this rule was in force on {period.last_day}."
    if not version.is_active:
        return Outcome.PAUSED, f"The rule has been paused since {version.starts_on}."
    if period.reference_date > today:
        return (
            Outcome.NOT_CLOSED,
            f"The business day is {today}; {period} is in the future.",
        )

    score = _score(rule_type, measured, version.threshold)
    if not host_period.is_closed:
        return Outcome.NOT_CLOSED, f"{score} so far; {period} has not ended."
    if not evaluate(to_rule(version), host_period.facts).is_earned:
        return Outcome.NOT_EARNED, f"{score}."
    outcome, reason = _why_unpaid(host_period)
    return (
        outcome,
        f"{score}: earned, not paid yet. {reason} pays {count(version.points, 'point')}.",
    )


def _paid(award: ScoreHistory, host_period: HostPeriod) -> str:
    paid = count(award.points, "point")
    if award.run is None or award.run.kind != RunKind.LIVE:
        return paid
    return f"{paid} live at {award.created_at.astimezone(host_period.zone):%H:%M}"


def _score(rule_type: RuleType, measured: int, threshold: int) -> str:
    return f"{count(measured, RULE_TYPE_SPECS[rule_type].noun)} ({threshold:,} needed)"


def _why_ineligible(user: User, host_period: HostPeriod) -> str:
    if not user.is_host:
        return f"{user} is not a host."
    sunday = ""
    if host_period.period.cadence == Cadence.WEEKLY:
        sunday = f"; a week needs its Sunday, {host_period.period.last_day}"
    return f"The last day of the host was {user.left_on}{sunday}."


def _why_unpaid(host_period: HostPeriod) -> tuple[Outcome, str]:
    """Return why an earned award is not in the ledger, and what pays it."""
    period, run, batch = host_period.period, host_period.run, host_period.failed_batch
    if run is None:
        return Outcome.NOT_RUN, f"The first run of {period}"
    if run.status == RunStatus.RUNNING:
        return (
            Outcome.INTERRUPTED,
            f"Attempt {run.attempt} has not finished; finishing it, or running {period} again,",
        )
    if batch is not None:
        return (
            Outcome.FAILED,
            f"The host's batch failed in attempt {run.attempt} "
            f"({batch.error or 'no cause was recorded'}); running {period} again",
        )
    return (
        Outcome.DUE,
        f"It was not earned when attempt {run.attempt} evaluated it; the next run of {period}",
    )
