"""Rule versions, and which of them are in force."""

from bisect import bisect_right
from collections.abc import Callable, Collection
from datetime import date
from operator import attrgetter

from rewards.choices import RULE_TYPE_SPECS, Cadence, RuleType
from rewards.engine.periods import Period
from rewards.engine.values import Rule
from rewards.models import RewardRule
from rewards.selectors.prepared import fetch_prepared, loaded

_VERSION_COLUMNS = ("id", "rule_type", "threshold", "points", "is_active", "starts_on")

_OF_PERIODS = """
    SELECT DISTINCT ON (rule_type) id, rule_type, threshold, points, is_active, starts_on
    FROM rewards_rewardrule
    WHERE rule_type = ANY(%(daily)s) AND starts_on <= %(day)s
    OR rule_type = ANY(%(weekly)s) AND starts_on <= %(sunday)s
    ORDER BY rule_type, starts_on DESC
"""


def versions_in_force(*, day: date) -> dict[RuleType, RewardRule]:
    """Return the version of each rule type in force on `day`, paused ones included."""
    return {RuleType(version.rule_type): version for version in RewardRule.objects.in_force_on(day)}


def versions_of_periods(*, day: Period, week: Period) -> dict[RuleType, RewardRule]:
    """Return the version of each rule type in force on the last day of its period, paused or not.

    Rule types are those of the day and those of the week. One query.
    """
    types = {
        cadence: [t.value for t, spec in RULE_TYPE_SPECS.items() if spec.cadence == cadence]
        for cadence in Cadence
    }
    rows = fetch_prepared(
        _OF_PERIODS,
        {
            "daily": types[Cadence.DAILY],
            "day": day.last_day,
            "weekly": types[Cadence.WEEKLY],
            "sunday": week.last_day,
        },
    )
    versions = [loaded(RewardRule, _VERSION_COLUMNS, row) for row in rows]
    return {RuleType(version.rule_type): version for version in versions}


def active_versions(*, period: Period) -> list[RewardRule]:
    """Return the versions that pay for `period`: in force on its last day, and not paused."""
    return [
        version
        for version in RewardRule.objects.in_force_on(period.last_day)
        if version.is_active
        and RULE_TYPE_SPECS[RuleType(version.rule_type)].cadence == period.cadence
    ]


def active_versions_of_all_days() -> Callable[[Cadence, date], frozenset[int]]:
    """Return a function (cadence, day) -> ids of the versions that pay then, without a query."""
    versions: dict[RuleType, list[RewardRule]] = {}
    for version in RewardRule.objects.order_by("starts_on"):
        versions.setdefault(RuleType(version.rule_type), []).append(version)

    def in_force(cadence: Cadence, day: date) -> frozenset[int]:
        latest = (
            of_type[position - 1]
            for rule_type, of_type in versions.items()
            if RULE_TYPE_SPECS[rule_type].cadence == cadence
            and (position := bisect_right(of_type, day, key=attrgetter("starts_on")))
        )
        return frozenset(version.pk for version in latest if version.is_active)

    return in_force


def rules_of_versions(versions: Collection[int]) -> list[Rule]:
    """Return the rules with these primary keys, in their order."""
    found = RewardRule.objects.in_bulk(versions)
    return [to_rule(found[version]) for version in versions]


def latest_version(*, rule_type: RuleType) -> RewardRule | None:
    """Return the version of `rule_type` that begins last, whether or not it has begun."""
    return RewardRule.objects.filter(rule_type=rule_type).order_by("-starts_on").first()


def version_token(latest: RewardRule | None) -> str:
    """Return the version token of a rule whose latest version this is."""
    return "" if latest is None else latest.version_token


def to_rule(version: RewardRule) -> Rule:
    return Rule(
        version=version.pk,
        rule_type=RuleType(version.rule_type),
        threshold=version.threshold,
        points=version.points,
    )
