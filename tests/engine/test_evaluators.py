import pytest

from rewards.choices import RULE_TYPE_SPECS, RuleType
from rewards.engine.evaluators import EVALUATORS, award_evaluator, evaluate
from rewards.engine.values import Evaluation, Facts, Rule


def rule(rule_type: RuleType, threshold: int) -> Rule:
    return Rule(version=1, rule_type=rule_type, threshold=threshold, points=10)


def test_every_rule_type_has_terms_and_an_evaluator():
    assert set(EVALUATORS) == set(RULE_TYPE_SPECS) == set(RuleType)


@pytest.mark.parametrize(
    ("rule_type", "facts", "verdict"),
    [
        # The threshold itself is enough.
        (RuleType.DAILY_LOGIN, Facts(logins=3), Evaluation(True, 3)),
        (RuleType.DAILY_AUDIO_CALL_TARGET, Facts(audio_calls=3), Evaluation(True, 3)),
        (RuleType.DAILY_VIDEO_CALL_TARGET, Facts(video_calls=3), Evaluation(True, 3)),
        (RuleType.WEEKLY_CONSISTENCY, Facts(active_days=3), Evaluation(True, 3)),
        # One below is not.
        (RuleType.DAILY_LOGIN, Facts(logins=2), Evaluation(False, 2)),
        (RuleType.DAILY_AUDIO_CALL_TARGET, Facts(audio_calls=2), Evaluation(False, 2)),
        (RuleType.DAILY_VIDEO_CALL_TARGET, Facts(video_calls=2), Evaluation(False, 2)),
        (RuleType.WEEKLY_CONSISTENCY, Facts(active_days=2), Evaluation(False, 2)),
        # Each counts its own kind only.
        (RuleType.DAILY_LOGIN, Facts(0, 9, 9, 9), Evaluation(False, 0)),
        (RuleType.DAILY_AUDIO_CALL_TARGET, Facts(9, 0, 9, 9), Evaluation(False, 0)),
        (RuleType.DAILY_VIDEO_CALL_TARGET, Facts(9, 9, 0, 9), Evaluation(False, 0)),
        (RuleType.WEEKLY_CONSISTENCY, Facts(9, 9, 9, 0), Evaluation(False, 0)),
    ],
)
def test_a_rule_is_earned_at_its_threshold(rule_type, facts, verdict):
    assert evaluate(rule(rule_type, 3), facts) == verdict


@pytest.mark.parametrize("rule_type", RuleType)
@pytest.mark.parametrize("measured", [2, 3, 7])
def test_a_rule_evaluates_by_its_own_measure_alone(rule_type, measured):
    own = {RULE_TYPE_SPECS[rule_type].metric: measured}

    alone = evaluate(rule(rule_type, 3), Facts(**own))

    assert alone == evaluate(rule(rule_type, 3), Facts(7, 7, 7, 7)._replace(**own))
    assert alone == Evaluation(measured >= 3, measured)


def test_awards_are_those_of_the_rules_that_were_earned():
    login, audio = rule(RuleType.DAILY_LOGIN, 1), rule(RuleType.DAILY_AUDIO_CALL_TARGET, 5)

    awards = award_evaluator([login, audio])(Facts(logins=2, audio_calls=4))

    assert [(award.rule, award.measured) for award in awards] == [(login, 2)]
