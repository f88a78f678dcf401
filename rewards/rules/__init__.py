"""Deciding who earned what: plain functions over plain values.

No database, no clock, no settings, no logging. `judge` is all that the rest of the application
needs; a new rule type is a member of `RuleType` with its terms, an evaluator, a row of
EVALUATORS and a table of tests.
"""

import functools
from collections.abc import Callable, Mapping, Sequence

from rewards.choices import RuleType
from rewards.rules.evaluators import (
    daily_audio_call_target,
    daily_login,
    daily_video_call_target,
    weekly_consistency,
)
from rewards.rules.values import Award, Evaluator, Facts, Rule, Verdict

__all__ = ["EVALUATORS", "Award", "Evaluator", "Facts", "Rule", "Verdict", "award_judge", "judge"]

EVALUATORS: Mapping[RuleType, Evaluator] = {
    RuleType.DAILY_LOGIN: daily_login,
    RuleType.DAILY_AUDIO_CALL_TARGET: daily_audio_call_target,
    RuleType.DAILY_VIDEO_CALL_TARGET: daily_video_call_target,
    RuleType.WEEKLY_CONSISTENCY: weekly_consistency,
}


def judge(rule: Rule, facts: Facts) -> Verdict:
    """Return what `rule` says of one host's `facts` for the period it judges."""
    return EVALUATORS[rule.rule_type](rule, facts)


def award_judge(rules: Sequence[Rule]) -> Callable[[Facts], tuple[Award, ...]]:
    """Return a function from facts to the awards that `rules` give for them.

    Many hosts did exactly the same, so what has been judged is remembered, within bounds.
    """

    @functools.lru_cache(maxsize=65_536)
    def awards_for(facts: Facts) -> tuple[Award, ...]:
        verdicts = ((rule, judge(rule, facts)) for rule in rules)
        return tuple(
            Award(rule, verdict.measured) for rule, verdict in verdicts if verdict.is_earned
        )

    return awards_for
