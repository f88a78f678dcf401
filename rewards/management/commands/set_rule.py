from datetime import date
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from rewards.choices import RuleType
from rewards.engine.business_days import ONE_DAY
from rewards.management.base import RewardsCommand, add_rule_arguments, day
from rewards.selectors.time_zone import business_date
from rewards.services import rules
from rewards.wording import count


class Command(RewardsCommand):
    help = "Write the next version of a rule."

    def add_arguments(self, parser: CommandParser) -> None:
        add_rule_arguments(parser)
        parser.add_argument(
            "--starts-on", type=day, metavar="D", help="first business day; default: tomorrow"
        )
        parser.add_argument("--inactive", action="store_true", help="pause the rule")
        parser.add_argument(
            "--reason", default="", metavar="TEXT", help="reason, shown in the history of the rule"
        )

    def handle(
        self,
        *,
        type: str,  # noqa: A002 - argparse names it for the argument
        threshold: int,
        points: int,
        starts_on: date | None,
        inactive: bool,
        reason: str,
        **_: Any,
    ) -> None:
        today = business_date(timezone.now())
        report = rules.set_rule(
            rule_type=RuleType(type),
            threshold=threshold,
            points=points,
            starts_on=starts_on or today + ONE_DAY,
            is_active=not inactive,
            today=today,
            reason=reason,
        )
        version = report.version
        verb = "Wrote" if report.is_new else "Nothing to do: this version exists:"
        self.report(
            f"{verb} {version.rule_type} from {version.starts_on}: {version.asks} for "
            f"{count(version.points, 'point')}{'' if version.is_active else ', paused'}.",
            {
                "rule_type": version.rule_type,
                "starts_on": version.starts_on.isoformat(),
                "threshold": version.threshold,
                "points": version.points,
                "is_active": version.is_active,
                "reason": version.reason,
                "is_new": report.is_new,
            },
        )
