"""The context of a preview: figures, a chart, a table, and the hosts that gain or lose."""

import json
from typing import Any

from django.utils.html import format_html_join

from rewards.admin.formatting import format_number, host_link
from rewards.choices import RULE_TYPE_SPECS
from rewards.engine.values import Rule
from rewards.reports.preview import Preview, PreviewCounts
from rewards.selectors.distribution import MatchingHosts
from rewards.wording import count

COLUMNS = {
    "hosts": "Active hosts",
    "awards_now": "Earn now",
    "awards_then": "Would earn",
    "gained": "Gain",
    "lost": "Lose",
    "just_missed": "Just miss",
    "points_now": "Points now",
    "points_then": "Would be",
}


def preview_context(preview: Preview) -> dict[str, Any]:
    per_period = RULE_TYPE_SPECS[preview.rule_type].per_period
    total, periods = preview.total, len(preview.periods)
    return {
        "first": preview.first,
        "last": preview.last,
        "unit": per_period.removeprefix("a "),
        "periods": periods,
        "is_empty": not total.hosts,
        "in_force": _pays(preview.in_force),
        "figures": [
            _figure("Awards", total.awards_now, total.awards_then),
            _figure("Points, the cost", total.points_now, total.points_then),
            _figure(
                f"Points {per_period}",
                round(total.points_now / periods),
                round(total.points_then / periods),
            ),
        ],
        "changes": [
            ("Would gain", _hosts(preview.gaining)),
            ("Would lose", _hosts(preview.losing)),
        ],
        "just_missed": count(total.just_missed, "time"),
        "chart": json.dumps(_chart(preview)),
        "table": {
            "headers": [per_period.removeprefix("a ").capitalize(), *COLUMNS.values()],
            "rows": [_row(str(day), counts) for day, counts in preview.periods.items()],
            "total": _row("In all", total),
        },
    }


def _pays(rule: Rule | None) -> str:
    if rule is None:
        return ""
    threshold = RULE_TYPE_SPECS[rule.rule_type].format_threshold(rule.threshold)
    return f"{threshold} for {count(rule.points, 'point')}"


def _figure(title: str, now: int, then: int) -> dict[str, str]:
    change = then - now
    share = f" ({change / now:+.0%})" if now and change else ""
    return {
        "title": title,
        "value": format_number(then),
        "note": f"now {format_number(now)}: {f'{change:+,}{share}' if change else 'no change'}",
    }


def _hosts(matching: MatchingHosts) -> dict[str, Any]:
    more = matching.hosts - len(matching.most_often)
    return {
        "number": count(matching.hosts, "host") if matching.hosts else "",
        "named": format_html_join(
            ", ",
            "{} ({}×)",  # noqa: RUF001 - times
            (
                (host_link(host.user_id, host.external_id), format_number(host.periods))
                for host in matching.most_often
            ),
        ),
        "more": f"{more:,}" if more else "",
    }


def _row(label: str, counts: PreviewCounts) -> list[str]:
    return [label, *(format_number(getattr(counts, field)) for field in COLUMNS)]


def _chart(preview: Preview) -> dict[str, Any]:
    bars = {"maxBarThickness": 16, "borderRadius": 3, "displayYAxis": True, "grouped": True}
    return {
        "labels": [f"{day:%d %b}" for day in preview.periods],
        "datasets": [
            {
                "label": label,
                "data": [getattr(counts, field) for counts in preview.periods.values()],
                "backgroundColor": f"var(--color-{colour})",
                **bars,
            }
            for label, field, colour in (
                ("Points under the rule in force", "points_now", "base-400"),
                ("Points under the change", "points_then", "primary-600"),
            )
        ],
    }
