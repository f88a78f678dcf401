"""What a change of a rule would have done to periods that have ended; writes nothing."""

from collections import defaultdict
from collections.abc import Mapping, Set
from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import Any

from rewards.choices import (
    MAX_POINTS,
    MIN_POINTS,
    MIN_THRESHOLD,
    RULE_TYPE_SPECS,
    Cadence,
    RuleType,
)
from rewards.engine.business_days import ONE_DAY, ONE_WEEK, days_between, monday_of
from rewards.engine.evaluators import evaluate
from rewards.engine.values import Facts, Rule
from rewards.exceptions import RuleRefused
from rewards.selectors.distribution import MatchingHosts, distribution, hosts_with_counts
from rewards.selectors.rules import to_rule, versions_in_force
from rewards.wording import count

LOOKBACKS = (7, 28)
"""The days that a preview can look back: whole weeks, so that weekly rules can be evaluated too."""

MAX_NAMED = 10
"""Hosts named of those that gain, and of those that lose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewCounts:
    """Sums over hosts, under the rule in force and under the proposed one."""

    hosts: int = 0
    """Hosts that were active and eligible."""
    awards_now: int = 0
    awards_then: int = 0
    points_now: int = 0
    points_then: int = 0
    gained: int = 0
    """Hosts that would earn, and do not now."""
    lost: int = 0
    """Hosts that earn now, and would not."""
    just_missed: int = 0
    """Hosts one below the proposed threshold."""

    def __add__(self, other: "PreviewCounts") -> "PreviewCounts":
        mine, others = self.to_dict(), other.to_dict()
        return PreviewCounts(**{name: mine[name] + others[name] for name in mine})

    def to_dict(self) -> dict[str, int]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The effect of a change, by period and in total."""

    rule_type: RuleType
    in_force: Rule | None
    """Today's rule; None while none is in force or it is paused."""
    proposed: Rule | None
    """None for a pause."""
    first: date
    last: date
    periods: Mapping[date, PreviewCounts]
    """By reference date, in order."""
    gaining: MatchingHosts
    losing: MatchingHosts

    @property
    def total(self) -> PreviewCounts:
        return sum(self.periods.values(), start=PreviewCounts())

    def to_dict(self) -> dict[str, Any]:
        return {
            "rule_type": self.rule_type.value,
            "from": self.first.isoformat(),
            "to": self.last.isoformat(),
            "in_force": _rule_dict(self.in_force),
            "proposed": _rule_dict(self.proposed),
            "periods": [
                {"reference_date": reference_date.isoformat()} | counts.to_dict()
                for reference_date, counts in self.periods.items()
            ],
            "total": self.total.to_dict(),
            "gaining": _hosts_dict(self.gaining),
            "losing": _hosts_dict(self.losing),
        }


def _rule_dict(rule: Rule | None) -> dict[str, int] | None:
    return None if rule is None else {"threshold": rule.threshold, "points": rule.points}


def _hosts_dict(matching: MatchingHosts) -> dict[str, Any]:
    named = {host.external_id: host.periods for host in matching.most_often}
    return {"hosts": matching.hosts, "most_often": named}


def preview_rule(
    *,
    rule_type: RuleType,
    threshold: int,
    points: int,
    today: date,
    days: int = LOOKBACKS[0],
    is_active: bool = True,
) -> Preview:
    """Return what the proposed version would have paid in the last `days`, one of LOOKBACKS.

    Only days that have ended on `today`; a weekly rule is evaluated over as many whole weeks. The
    evaluators of awarding evaluate each distinct count once, so that the work in memory does not
    grow with the hosts. Raises RuleRefused for numbers outside their limits, and QueryTimedOut.
    """
    spec = RULE_TYPE_SPECS[rule_type]
    _require_limits(rule_type, threshold, points)
    version = versions_in_force(day=today).get(rule_type)
    in_force = to_rule(version) if version is not None and version.is_active else None
    proposed = (
        Rule(version=0, rule_type=rule_type, threshold=threshold, points=points)
        if is_active
        else None
    )

    first, last, step = _range(spec.cadence, today, days)
    buckets: defaultdict[date, dict[int, int]] = defaultdict(dict)
    for period, measured, hosts in distribution(
        cadence=spec.cadence, metric=spec.metric, first=first, last=last
    ):
        buckets[period][measured] = hosts
    periods = {
        period: _counts(buckets[period], in_force, proposed)
        for period in days_between(first, last, step)
    }

    def matching(counts: Set[int]) -> MatchingHosts:
        if not counts:
            return MatchingHosts(0, ())
        return hosts_with_counts(
            cadence=spec.cadence,
            metric=spec.metric,
            first=first,
            last=last,
            counts=counts,
            limit=MAX_NAMED,
        )

    values = {value for hosts_by_value in buckets.values() for value in hosts_by_value}
    now, then = _earning(values, in_force), _earning(values, proposed)
    return Preview(
        rule_type=rule_type,
        in_force=in_force,
        proposed=proposed,
        first=first,
        last=last,
        periods=periods,
        gaining=matching(then - now),
        losing=matching(now - then),
    )


def _require_limits(rule_type: RuleType, threshold: int, points: int) -> None:
    spec = RULE_TYPE_SPECS[rule_type]
    if not MIN_THRESHOLD <= threshold <= spec.max_threshold:
        raise RuleRefused(
            f"The threshold {threshold:,} is outside {MIN_THRESHOLD}-{spec.max_threshold:,} "
            f"{spec.unit}."
        )
    if not MIN_POINTS <= points <= MAX_POINTS:
        raise RuleRefused(
            f"A rule pays {MIN_POINTS} to {count(MAX_POINTS, 'point')}, not {points:,}."
        )


def _range(cadence: Cadence, today: date, days: int) -> tuple[date, date, timedelta]:
    """Return the first and the last day to look at, and the step from period to period."""
    if cadence == Cadence.WEEKLY:
        end = monday_of(today)
        return end - timedelta(days=days), end - ONE_DAY, ONE_WEEK
    return today - timedelta(days=days), today - ONE_DAY, ONE_DAY


def _earning(values: Set[int], rule: Rule | None) -> set[int]:
    """Return those of the `values` of its metric that earn under `rule`."""
    if rule is None:
        return set()
    metric = RULE_TYPE_SPECS[rule.rule_type].metric
    return {value for value in values if evaluate(rule, Facts(**{metric: value})).is_earned}


def _counts(
    hosts_by_value: Mapping[int, int], in_force: Rule | None, proposed: Rule | None
) -> PreviewCounts:
    now = _earning(hosts_by_value.keys(), in_force)
    then = _earning(hosts_by_value.keys(), proposed)

    def hosts(values: Set[int]) -> int:
        return sum(hosts_by_value[value] for value in values)

    return PreviewCounts(
        hosts=sum(hosts_by_value.values()),
        awards_now=hosts(now),
        awards_then=hosts(then),
        points_now=hosts(now) * (in_force.points if in_force else 0),
        points_then=hosts(then) * (proposed.points if proposed else 0),
        gained=hosts(then - now),
        lost=hosts(now - then),
        just_missed=hosts_by_value.get(proposed.threshold - 1, 0) if proposed else 0,
    )
