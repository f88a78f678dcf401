from datetime import date
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from rewards.choices import RULE_TYPE_SPECS
from rewards.engine.periods import Period
from rewards.management.base import RewardsCommand, day
from rewards.reports.explain.explanation import Explanation, RuleExplanation, explain
from rewards.wording import count


class Command(RewardsCommand):
    help = "Explain why a host has, or has not, each award of a date and of its week."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("host", metavar="HOST", help="external id of the host")
        parser.add_argument("date", type=day, metavar="DATE", help="business day, YYYY-MM-DD")

    def handle(self, *, host: str, date: date, **_: Any) -> None:
        explanation = explain(external_id=host, day=date, now=timezone.now())
        self.report(_text(explanation), explanation.to_dict())


def _text(explanation: Explanation) -> str:
    active = ", ".join(f"{day:%a}" for day in explanation.active_days) or "no day"
    return "\n".join(
        [
            f"{explanation.host} on {explanation.day:%A}, {explanation.day}; "
            f"active that week: {active}.",
            *(line for rule in explanation.rules for line in _lines(rule)),
        ]
    )


def _lines(rule: RuleExplanation) -> list[str]:
    period = Period(RULE_TYPE_SPECS[rule.rule_type].cadence, rule.reference_date)
    lines = [
        "",
        f"{rule.rule_type} for {period}: {rule.outcome.upper()}",
        f"  {rule.sentence}",
        *(f"  {note}" for note in rule.notes),
    ]
    if rule.version:
        version = rule.version
        lines.append(
            f"  In force: {version.asks} for {count(version.points, 'point')}, "
            f"from {version.starts_on}."
        )
    if rule.award and rule.run:
        lines.append(
            f"  Ledger row {rule.award.pk}, written by the {rule.run}, "
            f"at {rule.award.created_at:%Y-%m-%d %H:%M:%S %Z}."
        )
    return lines
