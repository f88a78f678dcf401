"""The values that deciding takes and gives."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from rewards.choices import RuleType


class Facts(NamedTuple):
    """What one host did in the period judged: a business day, or a week."""

    logins: int = 0
    audio_calls: int = 0
    """Completed audio calls received."""
    video_calls: int = 0
    """Completed video calls received."""
    active_days: int = 0
    """Business days with any login or completed call: 0..1 for a day, 0..7 for a week."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The terms of the rule version in force for the period judged."""

    version: int
    """Primary key of the version, so that each award names what it was paid by."""
    rule_type: RuleType
    threshold: int
    """In the unit of the rule type; reaching it is enough."""
    points: int


class Verdict(NamedTuple):
    """What a rule says of one host."""

    is_earned: bool
    measured: int
    """What was counted, in the unit of the rule's threshold."""


class Award(NamedTuple):
    """What a host earned by a rule, and on what count."""

    rule: Rule
    measured: int


Evaluator = Callable[[Rule, Facts], Verdict]
"""Judges by the one fact that the terms of its rule type name: a run reads no other."""
