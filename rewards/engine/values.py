"""The values that the engine takes and returns."""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from rewards.choices import RuleType


class Facts(NamedTuple):
    """What one host did in a period: a business day, or a week."""

    logins: int = 0
    audio_calls: int = 0
    """Completed audio calls received."""
    video_calls: int = 0
    """Completed video calls received."""
    active_days: int = 0
    """Business days with any login or completed call: 0..1 for a day, 0..7 for a week."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule version as the evaluators take it."""

    version: int
    """Primary key of the version."""
    rule_type: RuleType
    threshold: int
    """In the unit of the rule type; reaching it is enough."""
    points: int


class Evaluation(NamedTuple):
    """The result of one rule for one host."""

    is_earned: bool
    measured: int
    """In the unit of the rule's threshold."""


class Award(NamedTuple):
    """An award that a host has earned, before it is in the ledger."""

    rule: Rule
    measured: int


class HasCounts(Protocol):
    """A row or value with the counts of a batch or of a run."""

    hosts_evaluated: int
    hosts_rewarded: int
    by_rule: dict[str, dict[str, int]]


@dataclass(kw_only=True)
class AwardCounts:
    """The result of a batch or of a run; its fields are columns of both."""

    hosts_evaluated: int = 0
    hosts_rewarded: int = 0
    """Hosts that had no award for the reference date before."""
    awards: int = 0
    points: int = 0
    by_rule: dict[str, dict[str, int]] = field(default_factory=dict)
    """For each rule type {"awards": number, "points": sum}."""

    def add(self, other: HasCounts) -> None:
        self.hosts_evaluated += other.hosts_evaluated
        self.hosts_rewarded += other.hosts_rewarded
        for rule_type, counts in other.by_rule.items():
            self.add_awards(rule_type, counts["awards"], counts["points"])

    def add_awards(self, rule_type: str, awards: int, points: int) -> None:
        """Count awards of one rule type that sum to `points`."""
        counts = self.by_rule.setdefault(rule_type, {"awards": 0, "points": 0})
        counts["awards"] += awards
        counts["points"] += points
        self.awards += awards
        self.points += points
