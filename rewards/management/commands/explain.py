from datetime import date
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from rewards.choices import RULE_TYPE_SPECS, Cadence
from rewards.management.base import RewardsCommand, day
from rewards.reports.explain.explanation import Explanation, RuleExplanation, explain


class Command(RewardsCommand):
    help = "Say why a host has, or has not, each award of a date and of its week."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("host", metavar="HOST", help="external id of the host")
        parser.add_argument("date", type=day, metavar="DATE", help="a business day, YYYY-MM-DD")

    def handle(self, *, host: str, date: date, **_: Any) -> None:
        explanation = explain(external_id=host, day=date, now=timezone.now())
        self.report(_text(explanation), _row(explanation))


def _text(explanation: Explanation) -> str:
    active = ", ".join(f"{day:%a}" for day, did in explanation.week.items() if did) or "no day"
    return "\n".join(
        [
            f"{explanation.host} on {explanation.day:%A}, {explanation.day}; "
            f"active that week: {active}.",
            *(line for rule in explanation.rules for line in _lines(rule)),
        ]
    )


def _lines(rule: RuleExplanation) -> list[str]:
    week = "week " if RULE_TYPE_SPECS[rule.rule_type].cadence == Cadence.WEEKLY else ""
    lines = [
        "",
        f"{rule.rule_type} for {week}{rule.reference_date}: {rule.outcome.upper()}",
        f"  {rule.sentence}",
        *(f"  {note}" for note in rule.notes),
    ]
    if rule.version:
        version = rule.version
        lines.append(
            f"  In force: {version.asks} for {version.points:,} points, from {version.starts_on}."
        )
    if rule.award and rule.run:
        lines.append(
            f"  Ledger row {rule.award.pk}, written by attempt {rule.run.attempt} "
            f"at {rule.award.created_at:%Y-%m-%d %H:%M:%S %Z}."
        )
    return lines


def _row(explanation: Explanation) -> dict[str, Any]:
    return {
        "host": explanation.host.external_id,
        "date": explanation.day.isoformat(),
        "active_days": [day.isoformat() for day, did in explanation.week.items() if did],
        "rules": [_rule_row(rule) for rule in explanation.rules],
    }


def _rule_row(rule: RuleExplanation) -> dict[str, Any]:
    version, award, run = rule.version, rule.award, rule.run
    return {
        "rule_type": rule.rule_type.value,
        "reference_date": rule.reference_date.isoformat(),
        "outcome": rule.outcome.value,
        "sentence": rule.sentence,
        "notes": list(rule.notes),
        "measured": rule.measured,
        "version": version
        and {
            "starts_on": version.starts_on.isoformat(),
            "threshold": version.threshold,
            "points": version.points,
            "is_active": version.is_active,
        },
        "award": award
        and {
            "id": award.pk,
            "points": award.points,
            "measured": award.measured,
            "threshold": award.threshold,
            "written_at": award.created_at.isoformat(),
        },
        "run": run and {"id": run.pk, "attempt": run.attempt, "status": run.status},
    }
