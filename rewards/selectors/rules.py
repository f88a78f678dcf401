"""Which rules count."""

from bisect import bisect_right
from collections.abc import Callable, Collection
from datetime import date
from operator import attrgetter

from rewards.choices import RULE_TERMS, Cadence, RuleType
from rewards.models import RewardRule
from rewards.rules import Rule


def rules_in_force(*, cadence: Cadence, day: date) -> tuple[Rule, ...]:
    """Return the active rules of `cadence` as they stood on `day`, in the order of RuleType."""
    versions = {
        rule_type: version
        for rule_type, version in versions_in_force(day=day).items()
        if version.is_active
    }
    return tuple(
        terms_of(versions[rule_type])
        for rule_type in RuleType
        if rule_type in versions and RULE_TERMS[rule_type].cadence == cadence
    )


def versions_of_all_days() -> Callable[[Cadence, date], frozenset[int]]:
    """Return a function that tells which versions of a cadence pay on a day, without a query."""
    versions: dict[RuleType, list[RewardRule]] = {}
    for version in RewardRule.objects.order_by("starts_on"):
        versions.setdefault(RuleType(version.rule_type), []).append(version)

    def in_force(cadence: Cadence, day: date) -> frozenset[int]:
        latest = (
            each[place - 1]
            for rule_type, each in versions.items()
            if RULE_TERMS[rule_type].cadence == cadence
            and (place := bisect_right(each, day, key=attrgetter("starts_on")))
        )
        return frozenset(version.pk for version in latest if version.is_active)

    return in_force


def rules_of_versions(versions: Collection[int]) -> tuple[Rule, ...]:
    """Return the rules that have these primary keys, in their order."""
    found = RewardRule.objects.in_bulk(versions)
    return tuple(terms_of(found[version]) for version in versions)


def versions_in_force(*, day: date) -> dict[RuleType, RewardRule]:
    """Return the version of each rule type that counts on `day`, paused ones included."""
    return {RuleType(version.rule_type): version for version in RewardRule.objects.in_force_on(day)}


def latest_version(*, rule_type: RuleType) -> RewardRule | None:
    """Return the version of `rule_type` that begins last, whether or not it has begun."""
    return RewardRule.objects.filter(rule_type=rule_type).order_by("-starts_on").first()


def mark_of(latest: RewardRule | None) -> str:
    """Return what a rule bears whose latest version this is."""
    return "" if latest is None else latest.mark


def terms_of(version: RewardRule) -> Rule:
    """Return a version as the evaluators take it."""
    return Rule(
        version=version.pk,
        rule_type=RuleType(version.rule_type),
        threshold=version.threshold,
        points=version.points,
    )
