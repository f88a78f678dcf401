"""One evaluator for each rule type, named for it."""

from rewards.rules.values import Facts, Rule, Verdict


def daily_login(rule: Rule, facts: Facts) -> Verdict:
    """Earned by logging in `threshold` times or more on the day."""
    return Verdict(facts.logins >= rule.threshold, facts.logins)


def daily_audio_call_target(rule: Rule, facts: Facts) -> Verdict:
    """Earned by receiving `threshold` or more audio calls that were completed on the day."""
    return Verdict(facts.audio_calls >= rule.threshold, facts.audio_calls)


def daily_video_call_target(rule: Rule, facts: Facts) -> Verdict:
    """Earned by receiving `threshold` or more video calls that were completed on the day."""
    return Verdict(facts.video_calls >= rule.threshold, facts.video_calls)


def weekly_consistency(rule: Rule, facts: Facts) -> Verdict:
    """Earned by being active on `threshold` or more different days of the week."""
    return Verdict(facts.active_days >= rule.threshold, facts.active_days)
