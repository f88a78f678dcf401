from dataclasses import asdict
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from rewards.calendar import business_date
from rewards.management.base import RewardsCommand
from rewards.services import verify


class Command(RewardsCommand):
    help = "Check all that must always hold; exit code 5 when something does not."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--repair-scores", action="store_true", help="first rebuild scores from the ledger"
        )

    def handle(self, *, repair_scores: bool, **_: Any) -> None:
        repaired = verify.repair_scores() if repair_scores else None
        today = business_date(timezone.now(), ZoneInfo(settings.REWARDS_TIME_ZONE))
        findings = verify.verify_ledger(today=today)
        lines = [] if repaired is None else [f"Rebuilt {repaired:,} scores from the ledger."]
        for each in findings:
            lines.append(
                f"{each.name:<4}{'ok' if not each.violations else 'BROKEN':<8}"
                f"{each.checked:>12,} checked {each.violations:>8,} violations  {each.sentence}"
            )
            lines += [f"    {example}" for example in each.examples]
        self.report(
            "\n".join(lines),
            {"repaired_scores": repaired, "invariants": [asdict(each) for each in findings]},
        )
        broken = [each.name for each in findings if each.violations]
        if broken:
            raise CommandError(f"broken: {', '.join(broken)}.", returncode=5)
