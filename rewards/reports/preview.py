"""What a change of a rule would have done to periods that have ended; it writes nothing."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

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
from rewards.selectors.distribution import Reached, distribution, hosts_that_reached
from rewards.selectors.rules import to_rule, versions_in_force

SPANS = (7, 28)
"""The days that a preview can look back: whole weeks, so that weekly rules can be evaluated too."""

MAX_NAMED = 10
"""Hosts named of those who gain, and of those who lose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewPeriod:
    """One business day or week, under the rule in force and under the proposed one."""

    reference_date: date
    hosts: int = 0
    """Hosts who were active and could earn."""
    awards_now: int = 0
    awards_then: int = 0
    points_now: int = 0
    points_then: int = 0
    gained: int = 0
    """Hosts who would earn, and do not now."""
    lost: int = 0
    """Hosts who earn now, and would not."""
    just_missed: int = 0
    """Hosts one below the proposed threshold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a change would have come to, period by period and in all."""

    rule_type: RuleType
    in_force: Rule | None
    """The rule as it stands today; None while none is in force or it is paused."""
    proposed: Rule | None
    """None for a pause."""
    first: date
    last: date
    periods: tuple[PreviewPeriod, ...]
    total: PreviewPeriod
    """The sums of all periods, under the first one's reference date."""
    gaining: Reached
    losing: Reached


def preview_rule(
    *,
    rule_type: RuleType,
    threshold: int,
    points: int,
    today: date,
    days: int = 7,
    is_active: bool = True,
) -> Preview:
    """Return what the proposed terms would have paid in the last `days`, were they in force.

    The days are those that have ended on `today`, one of SPANS; a weekly rule is evaluated over as
    many whole weeks. Hosts are counted by what they did, and the same evaluators as in awarding
    evaluate each count once: the work in memory does not grow with the hosts. Raises RuleRefused
    for terms outside their limits, and QueryTimedOut.
    """
    fixed = RULE_TYPE_SPECS[rule_type]
    _require_limits(rule_type, threshold, points)
    version = versions_in_force(day=today).get(rule_type)
    in_force = to_rule(version) if version is not None and version.is_active else None
    proposed = (
        Rule(version=0, rule_type=rule_type, threshold=threshold, points=points)
        if is_active
        else None
    )

    first, last, step = _span(fixed.cadence, today, days)
    counts: defaultdict[date, dict[int, int]] = defaultdict(dict)
    for row in distribution(cadence=fixed.cadence, metric=fixed.metric, first=first, last=last):
        counts[row.period][row.measured] = row.hosts

    periods = tuple(
        _judge_period(period, counts[period], in_force, proposed, threshold)
        for period in days_between(first, last, step)
    )
    gained, lost = _changed({n for each in counts.values() for n in each}, in_force, proposed)
    return Preview(
        rule_type=rule_type,
        in_force=in_force,
        proposed=proposed,
        first=first,
        last=last,
        periods=periods,
        total=_sum(periods),
        gaining=_reached(fixed.cadence, fixed.metric, first, last, gained),
        losing=_reached(fixed.cadence, fixed.metric, first, last, lost),
    )


def _require_limits(rule_type: RuleType, threshold: int, points: int) -> None:
    fixed = RULE_TYPE_SPECS[rule_type]
    if not MIN_THRESHOLD <= threshold <= fixed.max_threshold:
        raise RuleRefused(
            f"threshold {threshold} is outside {MIN_THRESHOLD}-{fixed.max_threshold} {fixed.unit}."
        )
    if not MIN_POINTS <= points <= MAX_POINTS:
        raise RuleRefused(f"{points} points are outside {MIN_POINTS}-{MAX_POINTS}.")


def _span(cadence: Cadence, today: date, days: int) -> tuple[date, date, timedelta]:
    """Return the first and the last day to look at, and what parts two periods."""
    if cadence == Cadence.WEEKLY:
        end = monday_of(today)
        return end - timedelta(days=days), end - ONE_DAY, ONE_WEEK
    return today - timedelta(days=days), today - ONE_DAY, ONE_DAY


def _earns(rule: Rule | None, measured: int) -> bool:
    """Return whether a host with this count, and no other, earns by `rule`."""
    if rule is None:
        return False
    facts = Facts(**{RULE_TYPE_SPECS[rule.rule_type].metric: measured})
    return evaluate(rule, facts).is_earned


def _judge_period(
    period: date,
    hosts_by_count: Mapping[int, int],
    in_force: Rule | None,
    proposed: Rule | None,
    threshold: int,
) -> PreviewPeriod:
    now = {n for n in hosts_by_count if _earns(in_force, n)}
    then = {n for n in hosts_by_count if _earns(proposed, n)}

    def hosts(counts: set[int]) -> int:
        return sum(hosts_by_count[n] for n in counts)

    return PreviewPeriod(
        reference_date=period,
        hosts=sum(hosts_by_count.values()),
        awards_now=hosts(now),
        awards_then=hosts(then),
        points_now=hosts(now) * (in_force.points if in_force else 0),
        points_then=hosts(then) * (proposed.points if proposed else 0),
        gained=hosts(then - now),
        lost=hosts(now - then),
        just_missed=hosts_by_count.get(threshold - 1, 0) if proposed else 0,
    )


def _changed(
    counts: set[int], in_force: Rule | None, proposed: Rule | None
) -> tuple[set[int], set[int]]:
    """Return the counts that only the proposed rule pays, and those only the one in force does."""
    now = {n for n in counts if _earns(in_force, n)}
    then = {n for n in counts if _earns(proposed, n)}
    return then - now, now - then


def _reached(cadence: Cadence, metric: str, first: date, last: date, counts: set[int]) -> Reached:
    if not counts:
        return Reached(0, ())
    return hosts_that_reached(
        cadence=cadence, metric=metric, first=first, last=last, counts=counts, shown=MAX_NAMED
    )


def _sum(periods: tuple[PreviewPeriod, ...]) -> PreviewPeriod:
    return PreviewPeriod(
        reference_date=periods[0].reference_date,
        hosts=sum(each.hosts for each in periods),
        awards_now=sum(each.awards_now for each in periods),
        awards_then=sum(each.awards_then for each in periods),
        points_now=sum(each.points_now for each in periods),
        points_then=sum(each.points_then for each in periods),
        gained=sum(each.gained for each in periods),
        lost=sum(each.lost for each in periods),
        just_missed=sum(each.just_missed for each in periods),
    )
