"""What `award_daily` and `award_weekly` share: many dates, one report."""

from collections.abc import Callable, Iterable
from datetime import date
from typing import Any

from django.core.management.base import CommandError

from rewards.choices import RunStatus
from rewards.management.base import RewardsCommand
from rewards.services.awarding import RunReport


class AwardCommand(RewardsCommand):
    """Award every date given, oldest first, and say what each came to."""

    def award_all(self, dates: Iterable[date], award: Callable[[date], RunReport]) -> None:
        """Call `award` for each date and end with exit code 4 when a run was not complete."""
        reports = [award(each) for each in dates]
        self.report(
            "\n".join(_line(each) for each in reports), {"runs": [_row(r) for r in reports]}
        )
        failed = [each for each in reports if each.status not in {None, RunStatus.DONE}]
        if failed:
            raise CommandError(
                "; ".join(f"{each.reference_date}: {each.error}" for each in failed),
                returncode=1 if all(each.status == RunStatus.FAILED for each in failed) else 4,
            )


def _line(report: RunReport) -> str:
    if not report.rules:
        return f"{report.reference_date}: nothing to award: no active rules."
    verb = "Would award" if report.status is None else "Awarded"
    tally = report.tally
    return (
        f"{report.reference_date}: {verb} {tally.points:,} points in {tally.awards:,} awards; "
        f"{tally.hosts:,} hosts judged in {report.seconds:.1f} s."
    )


def _row(report: RunReport) -> dict[str, Any]:
    return {
        "cadence": report.cadence.value,
        "reference_date": report.reference_date.isoformat(),
        "status": report.status.value if report.status else "dry run",
        "attempt": report.attempt,
        "hosts_evaluated": report.tally.hosts,
        "awards": report.tally.awards,
        "points": report.tally.points,
        "by_rule": report.tally.by_rule,
        "seconds": round(report.seconds, 3),
        "error": report.error,
    }
