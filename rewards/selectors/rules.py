"""Which rules count."""

from datetime import date

from rewards.choices import RULE_TERMS, Cadence, RuleType
from rewards.models import RewardRule
from rewards.rules import Rule


def rules_in_force(*, cadence: Cadence, day: date) -> tuple[Rule, ...]:
    """Return the active rules of `cadence` as they stood on `day`, in the order of RuleType."""
    versions = {
        version.rule_type: version
        for version in RewardRule.objects.in_force_on(day)
        if version.is_active
    }
    return tuple(
        Rule(
            version=versions[rule_type].pk,
            rule_type=rule_type,
            threshold=versions[rule_type].threshold,
            points=versions[rule_type].points,
        )
        for rule_type in RuleType
        if rule_type in versions and RULE_TERMS[rule_type].cadence == cadence
    )
