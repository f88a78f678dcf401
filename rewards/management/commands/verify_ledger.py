from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from rewards.exceptions import UsageError
from rewards.management.base import RewardsCommand
from rewards.reports.verify.verification import verify_ledger
from rewards.selectors.time_zone import business_date
from rewards.services import scores


class Command(RewardsCommand):
    help = "Check all that must always hold; exit code 5 when something does not."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--repair-scores", action="store_true", help="first rebuild scores from the ledger"
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="with --repair-scores: say what would be rebuilt, and change nothing",
        )

    def handle(self, *, repair_scores: bool, dry_run: bool, **_: Any) -> None:
        if dry_run and not repair_scores:
            raise UsageError("--dry-run goes with --repair-scores: without it nothing is changed.")
        repair = scores.repair_scores(is_dry_run=dry_run) if repair_scores else None
        today = business_date(timezone.now())
        findings = verify_ledger(today=today)

        lines = []
        if repair is not None:
            verb = "Would rebuild" if dry_run else "Rebuilt"
            lines.append(f"{verb} {repair.scores:,} scores from the ledger.")
            lines += [f"    {example}" for example in repair.examples]
        for each in findings:
            lines.append(
                f"{each.name:<4}{'ok' if not each.violations else 'BROKEN':<8}"
                f"{each.checked:>12,} checked {each.violations:>8,} violations  {each.sentence}"
            )
            lines += [f"    {example}" for example in each.examples]
        self.report(
            "\n".join(lines),
            {
                "repair": repair and {**asdict(repair), "is_dry_run": dry_run},
                "invariants": [asdict(each) for each in findings],
            },
        )
        broken = [each.name for each in findings if each.violations]
        if broken:
            raise CommandError(f"broken: {', '.join(broken)}.", returncode=5)
