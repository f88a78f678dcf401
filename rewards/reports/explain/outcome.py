"""What became of a rule for a host and a period, and the one reason that settles it."""

import enum

from rewards.choices import RULE_TYPE_SPECS, Cadence, RuleType, RunStatus
from rewards.engine.evaluators import evaluate
from rewards.models import RewardRule, ScoreHistory, User
from rewards.reports.explain.period import Period
from rewards.selectors.rules import to_rule


class Outcome(enum.StrEnum):
    """What became of a rule for a host and a period."""

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
    period: Period,
    version: RewardRule | None,
    award: ScoreHistory | None,
    measured: int,
) -> tuple[Outcome, str]:
    """Return the outcome and a sentence that says why: reasons are tried as awarding does."""
    counted = RULE_TYPE_SPECS[rule_type].counted
    if award is not None:
        score = f"{award.measured:,} of {award.threshold:,} {counted}"
        return Outcome.AWARDED, f"{score}: paid {award.points:,} points."
    if not user.is_host:
        return Outcome.NOT_ACTIVE, f"{user} is not a host and earns nothing."
    if user.left_on is not None and period.days[-1] > user.left_on:
        is_week = period.cadence == Cadence.WEEKLY
        sunday = f"; a week counts as its Sunday, {period.days[-1]}" if is_week else ""
        return Outcome.NOT_ACTIVE, f"{user.left_on} was the last day to earn on{sunday}."
    if version is None:
        return Outcome.NO_VERSION, f"No version of this rule was in force on {period.days[-1]} yet."
    if not version.is_active:
        return Outcome.PAUSED, f"The rule is paused from {version.starts_on} on."
    if period.days[0] > period.today:
        return (
            Outcome.NOT_CLOSED,
            f"{period.name} is in the future; the business day is {period.today}.",
        )

    score = f"{measured:,} of {version.threshold:,} {counted}"
    if not period.is_closed:
        return Outcome.NOT_CLOSED, f"{score} so far; {period.name} has not ended."
    if not evaluate(to_rule(version), period.facts).is_earned:
        return Outcome.NOT_EARNED, f"{score}."
    outcome, reason = _why_unpaid(period)
    return outcome, f"{score}: earned, but {reason} pays {version.points:,} points."


def _why_unpaid(period: Period) -> tuple[Outcome, str]:
    """Return why what was earned is not in the ledger, and what will put it there."""
    run = period.run
    if run is None:
        return Outcome.NOT_RUN, f"{period.name} has not been run yet; its run"
    if run.status == RunStatus.RUNNING:
        return (
            Outcome.INTERRUPTED,
            f"attempt {run.attempt} has not come to its end; finishing it, or running "
            f"{period.name} again,",
        )
    if period.failed is not None:
        cause = period.failed.error or "no cause was recorded"
        return (
            Outcome.FAILED,
            f"the host's batch failed in attempt {run.attempt} ({cause}); running "
            f"{period.name} again",
        )
    return (
        Outcome.DUE,
        f"not yet so when attempt {run.attempt} evaluated it; the next run of {period.name}",
    )
