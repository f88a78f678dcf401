from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from rewards.choices import (
    RULE_TYPE_SPECS,
    Cadence,
    RuleType,
)
from rewards.engine.values import Rule
from rewards.management.base import RewardsCommand, add_rule_arguments
from rewards.reports.preview import LOOKBACKS, Preview, PreviewCounts, preview_rule
from rewards.selectors.distribution import MatchingHosts
from rewards.selectors.time_zone import business_date
from rewards.wording import count

COLUMNS = {
    "hosts": "active",
    "awards_now": "earn now",
    "awards_then": "would",
    "gained": "gain",
    "lost": "lose",
    "just_missed": "just miss",
    "points_now": "points now",
    "points_then": "would be",
}


class Command(RewardsCommand):
    help = "Show what a change of a rule would have done in recent days; writes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        add_rule_arguments(parser)
        parser.add_argument(
            "--days",
            choices=LOOKBACKS,
            type=int,
            default=LOOKBACKS[0],
            help="days to look back; default: %(default)s",
        )

    def handle(
        self,
        *,
        type: str,  # noqa: A002 - argparse names it for the argument
        threshold: int,
        points: int,
        days: int,
        **_: Any,
    ) -> None:
        preview = preview_rule(
            rule_type=RuleType(type),
            threshold=threshold,
            points=points,
            days=days,
            today=business_date(timezone.now()),
        )
        self.report(_text(preview), preview.to_dict())


def _text(preview: Preview) -> str:
    is_weekly = RULE_TYPE_SPECS[preview.rule_type].cadence == Cadence.WEEKLY
    lines = [
        f"{preview.rule_type}, {preview.first} to {preview.last}; nothing was written.",
        f"In force: {_rule(preview.in_force)}. Proposed: {_rule(preview.proposed)}.",
        "",
        f"{'week' if is_weekly else 'day':<10}"
        + "".join(f"{title:>12}" for title in COLUMNS.values()),
        *(_row(str(day), counts) for day, counts in preview.periods.items()),
        _row("total", preview.total),
        "" if preview.total.hosts else "There was no activity in these days.",
        f"Would gain: {_hosts(preview.gaining)}.",
        f"Would lose: {_hosts(preview.losing)}.",
    ]
    return "\n".join(lines)


def _rule(rule: Rule | None) -> str:
    if rule is None:
        return "nothing"
    threshold = RULE_TYPE_SPECS[rule.rule_type].format_threshold(rule.threshold)
    return f"{threshold} for {count(rule.points, 'point')}"


def _row(label: str, counts: PreviewCounts) -> str:
    return f"{label:<10}" + "".join(f"{getattr(counts, field):>12,}" for field in COLUMNS)


def _hosts(matching: MatchingHosts) -> str:
    if not matching.hosts:
        return "nobody"
    named = ", ".join(f"{host.external_id} ({host.periods})" for host in matching.most_often)
    rest = matching.hosts - len(matching.most_often)
    more = f" and {rest:,} more" if rest else ""
    return f"{count(matching.hosts, 'host')}: {named}{more}"
