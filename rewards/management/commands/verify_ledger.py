from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from rewards.exceptions import UsageError
from rewards.management.base import RewardsCommand
from rewards.reports.verify.verification import Finding, verify_ledger
from rewards.selectors.time_zone import business_date
from rewards.services import scores
from rewards.wording import count


class Command(RewardsCommand):
    help = "Check every invariant of the data; exit code 5 if any is broken."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--repair-scores", action="store_true", help="first rebuild scores from the ledger"
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="with --repair-scores: show what would be rebuilt, and write nothing",
        )

    def handle(self, *, repair_scores: bool, dry_run: bool, **_: Any) -> None:
        if dry_run and not repair_scores:
            raise UsageError("--dry-run is used with --repair-scores: nothing else is written.")
        repair = scores.repair_scores(is_dry_run=dry_run) if repair_scores else None
        verification = verify_ledger(today=business_date(timezone.now()))

        lines = []
        if repair is not None:
            verb = "Would rebuild" if dry_run else "Rebuilt"
            lines.append(f"{verb} {count(repair.scores, 'score')} from the ledger.")
            lines += [f"    {example}" for example in repair.examples]
        for finding in verification.findings:
            lines.append(_line(finding))
            lines += [f"    {example}" for example in finding.examples]
        self.report(
            "\n".join(lines),
            {"repair": repair and {**asdict(repair), "is_dry_run": dry_run}}
            | verification.to_dict(),
        )
        if verification.broken:
            raise CommandError(
                f"Broken invariants: {', '.join(verification.broken)}.", returncode=5
            )


def _line(finding: Finding) -> str:
    state = "BROKEN" if finding.violations else "ok"
    violations = count(finding.violations, "violation")
    return (
        f"{finding.name:<4}{state:<8}{finding.checked:>12,} checked "
        f"{violations:>20}  {finding.sentence}"
    )
