"""How a preview is shown: figures, a chart, a table, and the names of those concerned."""

import json
from typing import Any

from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from rewards.admin.formatting import format_number, format_threshold, host_link
from rewards.choices import RULE_TYPE_SPECS, Cadence
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


def shown(preview: Preview) -> dict[str, Any]:
    """Return what the page of a change shows of its preview."""
    is_weekly = RULE_TYPE_SPECS[preview.rule_type].cadence == Cadence.WEEKLY
    total = preview.total
    return {
        "first": preview.first,
        "last": preview.last,
        "unit": "week" if is_weekly else "day",
        "periods": len(preview.periods),
        "is_empty": not total.hosts,
        "in_force": _terms(preview.in_force),
        "figures": [
            _figure("Awards", total.awards_now, total.awards_then),
            _figure("Points, the cost", total.points_now, total.points_then),
            _figure(
                f"Points a {'week' if is_weekly else 'day'}",
                round(total.points_now / len(preview.periods)),
                round(total.points_then / len(preview.periods)),
            ),
        ],
        "gaining": _hosts(preview.gaining),
        "losing": _hosts(preview.losing),
        "just_missed": format_number(total.just_missed),
        "chart": json.dumps(_chart(preview)),
        "table": {
            "headers": ["Week of" if is_weekly else "Business day", *COLUMNS.values()],
            "rows": [_row(str(day), counts) for day, counts in preview.periods.items()],
            "total": _row("In all", total),
        },
    }


def _terms(rule: Rule | None) -> str:
    if rule is None:
        return ""
    return f"{format_threshold(rule.rule_type, rule.threshold)} for {count(rule.points, 'point')}"


def _figure(title: str, now: int, then: int) -> dict[str, str]:
    change = then - now
    share = f" ({change / now:+.0%})" if now and change else ""
    return {
        "title": title,
        "value": format_number(then),
        "note": f"now {format_number(now)}: {f'{change:+,}{share}' if change else 'no change'}",
    }


def _hosts(matching: MatchingHosts) -> dict[str, Any]:
    return {
        "hosts": matching.hosts,
        "named": _named(matching),
        "more": matching.hosts - len(matching.most_often),
    }


def _named(matching: MatchingHosts) -> SafeString:
    return format_html_join(
        ", ",
        "{} ({}×)",  # noqa: RUF001 - times
        (
            (host_link(host.user_id, host.external_id), format_number(host.periods))
            for host in matching.most_often
        ),
    )


def _row(label: str, counts: PreviewCounts) -> list[str]:
    return [label, *(format_number(getattr(counts, field)) for field in COLUMNS)]


def _chart(preview: Preview) -> dict[str, Any]:
    bars = {"maxBarThickness": 16, "borderRadius": 3, "displayYAxis": True, "grouped": True}
    return {
        "labels": [f"{day:%d %b}" for day in preview.periods],
        "datasets": [
            {
                "label": "Points under the rule in force",
                "data": [counts.points_now for counts in preview.periods.values()],
                "backgroundColor": "var(--color-base-400)",
                **bars,
            },
            {
                "label": "Points under the change",
                "data": [counts.points_then for counts in preview.periods.values()],
                "backgroundColor": "var(--color-primary-600)",
                **bars,
            },
        ],
    }
