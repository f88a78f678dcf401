import pytest

from rewards.choices import RULE_TYPE_SPECS, RuleType
from rewards.engine.evaluators import EVALUATORS, award_evaluator, evaluate
from rewards.engine.values import Award, Evaluation, Facts, Rule


def rule(rule_type: RuleType, threshold: int) -> Rule:
    return Rule(version=1, rule_type=rule_type, threshold=threshold, points=10)


def test_every_rule_type_has_a_spec_and_an_evaluator():
    assert set(EVALUATORS) == set(RULE_TYPE_SPECS) == set(RuleType)


@pytest.mark.parametrize(
    ("rule_type", "facts", "evaluation"),
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
        # Other activity does not count.
        (RuleType.DAILY_LOGIN, Facts(0, 9, 9, 9), Evaluation(False, 0)),
        (RuleType.DAILY_AUDIO_CALL_TARGET, Facts(9, 0, 9, 9), Evaluation(False, 0)),
        (RuleType.DAILY_VIDEO_CALL_TARGET, Facts(9, 9, 0, 9), Evaluation(False, 0)),
        (RuleType.WEEKLY_CONSISTENCY, Facts(9, 9, 9, 0), Evaluation(False, 0)),
    ],
)
def test_a_rule_is_earned_at_its_threshold(rule_type, facts, evaluation):
    assert evaluate(rule(rule_type, 3), facts) == evaluation


@pytest.mark.parametrize("rule_type", RuleType)
@pytest.mark.parametrize("measured", [2, 3, 7])
def test_a_rule_is_evaluated_by_its_metric_alone(rule_type, measured):
    """A run reads no other metric."""
    own = {RULE_TYPE_SPECS[rule_type].metric: measured}
    expected = Evaluation(measured >= 3, measured)

    assert evaluate(rule(rule_type, 3), Facts(**own)) == expected
    assert evaluate(rule(rule_type, 3), Facts(7, 7, 7, 7)._replace(**own)) == expected


def test_awards_are_those_of_the_rules_that_were_earned():
    login = rule(RuleType.DAILY_LOGIN, 1)
    audio = rule(RuleType.DAILY_AUDIO_CALL_TARGET, 5)
    video = rule(RuleType.DAILY_VIDEO_CALL_TARGET, 1)

    awards_for = award_evaluator([login, audio, video])

    assert awards_for(Facts(logins=2, audio_calls=4, video_calls=3)) == (
        Award(login, 2),
        Award(video, 3),
    )
    assert awards_for(Facts(audio_calls=5)) == (Award(audio, 5),)
    assert awards_for(Facts()) == ()


def test_hosts_with_equal_facts_are_evaluated_once():
    awards_for = award_evaluator([rule(RuleType.DAILY_LOGIN, 1)])

    assert awards_for(Facts(logins=2)) is awards_for(Facts(logins=2))
