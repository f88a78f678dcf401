from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from rewards.choices import (
    MAX_POINTS,
    MAX_THRESHOLD,
    MIN_POINTS,
    MIN_THRESHOLD,
    RULE_TYPE_SPECS,
    Cadence,
    RuleType,
)
from rewards.engine.values import Rule
from rewards.management.base import RewardsCommand, whole_number
from rewards.reports.preview import SPANS, Preview, PreviewPeriod, preview_rule
from rewards.selectors.distribution import Reached
from rewards.selectors.time_zone import business_date
from rewards.wording import count

COLUMNS = (
    ("active", "hosts"),
    ("earn now", "awards_now"),
    ("would", "awards_then"),
    ("gain", "gained"),
    ("lose", "lost"),
    ("just miss", "just_missed"),
    ("points now", "points_now"),
    ("would be", "points_then"),
)


class Command(RewardsCommand):
    help = "Show what a change of a rule would have done lately; nothing is written."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("type", choices=RuleType.values, metavar="TYPE", help="%(choices)s")
        parser.add_argument(
            "--threshold",
            type=whole_number(min_value=MIN_THRESHOLD, max_value=MAX_THRESHOLD),
            required=True,
            help="how much would be enough",
        )
        parser.add_argument(
            "--points",
            type=whole_number(min_value=MIN_POINTS, max_value=MAX_POINTS),
            required=True,
            help="what it would pay",
        )
        parser.add_argument(
            "--days", choices=SPANS, type=int, default=SPANS[0], help="default: %(default)s"
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
        self.report(_text(preview), _row(preview))


def _text(preview: Preview) -> str:
    is_weekly = RULE_TYPE_SPECS[preview.rule_type].cadence == Cadence.WEEKLY
    lines = [
        f"{preview.rule_type}, {preview.first} to {preview.last}; nothing was written.",
        f"In force: {_terms(preview.in_force)}. Proposed: {_terms(preview.proposed)}.",
        "",
        f"{'week' if is_weekly else 'day':<10}" + "".join(f"{title:>12}" for title, _ in COLUMNS),
        *(_figures(str(each.reference_date), each) for each in preview.periods),
        _figures("in all", preview.total),
        "" if preview.total.hosts else "There was no activity in these days.",
        f"Would gain: {_hosts(preview.gaining)}.",
        f"Would lose: {_hosts(preview.losing)}.",
    ]
    return "\n".join(lines)


def _terms(rule: Rule | None) -> str:
    if rule is None:
        return "nothing"
    threshold = RULE_TYPE_SPECS[rule.rule_type].format_threshold(rule.threshold)
    return f"{threshold} for {count(rule.points, 'point')}"


def _figures(label: str, period: PreviewPeriod) -> str:
    return f"{label:<10}" + "".join(f"{getattr(period, field):>12,}" for _, field in COLUMNS)


def _hosts(reached: Reached) -> str:
    if not reached.hosts:
        return "nobody"
    named = ", ".join(f"{name} ({often})" for _, name, often in reached.most_often)
    rest = reached.hosts - len(reached.most_often)
    more = f" and {rest:,} more" if rest else ""
    return f"{reached.hosts:,} host{'' if reached.hosts == 1 else 's'}: {named}{more}"


def _row(preview: Preview) -> dict[str, Any]:
    def terms(rule: Rule | None) -> dict[str, int] | None:
        return None if rule is None else {"threshold": rule.threshold, "points": rule.points}

    def figures(period: PreviewPeriod) -> dict[str, int]:
        row = asdict(period)
        del row["reference_date"]
        return row

    def changed(reached: Reached) -> dict[str, Any]:
        named = {host.external_id: host.periods for host in reached.most_often}
        return {"hosts": reached.hosts, "most_often": named}

    return {
        "rule_type": preview.rule_type.value,
        "from": preview.first.isoformat(),
        "to": preview.last.isoformat(),
        "in_force": terms(preview.in_force),
        "proposed": terms(preview.proposed),
        "periods": [
            {"reference_date": each.reference_date.isoformat()} | figures(each)
            for each in preview.periods
        ],
        "total": figures(preview.total),
        "gaining": changed(preview.gaining),
        "losing": changed(preview.losing),
    }
