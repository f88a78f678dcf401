"""One evaluator for each rule type, named after it.

An evaluator decides by the one metric that the spec of its rule type names: a run reads no other.
"""

import functools
from collections.abc import Callable, Mapping, Sequence

from rewards.choices import RuleType
from rewards.engine.values import Award, Evaluation, Facts, Rule

Evaluator = Callable[[Rule, Facts], Evaluation]


def daily_login(rule: Rule, facts: Facts) -> Evaluation:
    """Earned by logging in `threshold` times or more on the day."""
    return Evaluation(facts.logins >= rule.threshold, facts.logins)


def daily_audio_call_target(rule: Rule, facts: Facts) -> Evaluation:
    """Earned by receiving `threshold` or more audio calls that were completed on the day."""
    return Evaluation(facts.audio_calls >= rule.threshold, facts.audio_calls)


def daily_video_call_target(rule: Rule, facts: Facts) -> Evaluation:
    """Earned by receiving `threshold` or more video calls that were completed on the day."""
    return Evaluation(facts.video_calls >= rule.threshold, facts.video_calls)


def weekly_consistency(rule: Rule, facts: Facts) -> Evaluation:
    """Earned by being active on `threshold` or more different days of the week."""
    return Evaluation(facts.active_days >= rule.threshold, facts.active_days)


EVALUATORS: Mapping[RuleType, Evaluator] = {
    RuleType.DAILY_LOGIN: daily_login,
    RuleType.DAILY_AUDIO_CALL_TARGET: daily_audio_call_target,
    RuleType.DAILY_VIDEO_CALL_TARGET: daily_video_call_target,
    RuleType.WEEKLY_CONSISTENCY: weekly_consistency,
}


def evaluate(rule: Rule, facts: Facts) -> Evaluation:
    """Return whether one host's `facts` of a period earn under `rule`, and what was measured."""
    return EVALUATORS[rule.rule_type](rule, facts)


def award_evaluator(rules: Sequence[Rule]) -> Callable[[Facts], tuple[Award, ...]]:
    """Return a function from facts to the awards that they earn under `rules`.

    Many hosts have the same facts, so results are cached, up to 65,536 of them.
    """

    evaluators = [(rule, EVALUATORS[rule.rule_type]) for rule in rules]

    @functools.lru_cache(maxsize=65_536)
    def awards_for(facts: Facts) -> tuple[Award, ...]:
        awards = []
        for rule, evaluator in evaluators:
            evaluation = evaluator(rule, facts)
            if evaluation.is_earned:
                awards.append(Award(rule, evaluation.measured))
        return tuple(awards)

    return awards_for
