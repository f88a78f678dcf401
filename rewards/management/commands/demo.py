import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser
from django.db import connection
from django.utils import timezone

from rewards.choices import Cadence, RunStatus
from rewards.demo import Bundled, Synthetic
from rewards.engine.business_days import monday_of
from rewards.management.base import MAX_DAYS, RewardsCommand, whole_number
from rewards.reports.leaderboard import LeaderboardRow, ranking
from rewards.selectors.ledger import RuleTotal, totals_by_rule
from rewards.services import demo
from rewards.wording import count

ADDRESS = "http://127.0.0.1:8000/admin/"


class Command(RewardsCommand):
    help = "Fill an empty database with activity, award all of it, and say where to look."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--hosts",
            type=whole_number(min_value=1, max_value=5_000_000),
            metavar="N",
            help="made-up activity of so many hosts, instead of the real sample; "
            "with --days alone: 1,000",
        )
        parser.add_argument(
            "--days",
            type=whole_number(min_value=1, max_value=MAX_DAYS),
            metavar="N",
            help="made-up activity of so many days; with --hosts alone: 14",
        )

    def handle(self, *, hosts: int | None, days: int | None, verbosity: int, **_: Any) -> None:
        activity: demo.Activity = Bundled()
        if hosts or days:
            activity = Synthetic(hosts=hosts or 1_000, days=days or 14)
        on_prepare = self.progress("Preparing")
        on_prepare(0, 2)
        # The first connection, which starts the database. A log line for each of many runs would
        # tear the progress bar to pieces.
        with demo.demo_lock(), _log_level(logging.WARNING if verbosity < 2 else logging.INFO):
            demo.require_room(activity=activity)
            on_prepare(1, 2)
            call_command("migrate", interactive=False, verbosity=0)
            on_prepare(2, 2)
            report = demo.fill(
                activity=activity,
                now=timezone.now(),
                on_import=self.progress("Importing"),
                on_award=self.progress("Awarding "),
            )
        failed = [run for run in report.runs if run.status != RunStatus.DONE]
        if failed:
            raise CommandError(
                "; ".join(f"{run.period}: {run.error}" for run in failed), returncode=4
            )

        monday = monday_of(report.last_day)
        totals = totals_by_rule(first=monday_of(report.first_day), last=report.last_day)
        top = list(islice(ranking(first=monday, last=report.last_day), 10))
        # A password that nobody is shown would be of no use.
        password = None if self.is_quiet else demo.make_admin()
        self.report(
            "\n".join(
                [*_done(report), "", *_totals(totals), "", *_top(top, report), "", *_look(password)]
            ),
            {
                "first_day": report.first_day.isoformat(),
                "last_day": report.last_day.isoformat(),
                "is_changed": report.is_changed,
                "events": report.events,
                "stored": report.stored,
                "hosts_created": report.hosts_created,
                "rules_written": report.rules_written,
                "runs": len(report.runs),
                "totals": [total._asdict() for total in totals],
                "top_hosts": [
                    {"external_id": row.external_id, "points": row.points} for row in top
                ],
                "admin": {"url": ADDRESS, "username": demo.ADMIN, "password": password},
            },
        )


@contextmanager
def _log_level(level: int) -> Iterator[None]:
    logger = logging.getLogger("rewards")
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


def _done(report: demo.DemoReport) -> list[str]:
    span = f"{report.first_day} to {report.last_day}"
    if not report.is_changed:
        return [f"Nothing to do: the demo of {span} is complete, and nothing was changed."]
    days = sum(run.period.cadence == Cadence.DAILY for run in report.runs)
    return [
        f"Imported {report.stored:,} events of {span}; {report.hosts_created:,} hosts created.",
        f"Put {report.rules_written} rules in force; awarded {count(days, 'day')} and "
        f"{count(len(report.runs) - days, 'week')}.",
    ]


def _totals(totals: list[RuleTotal]) -> list[str]:
    everything = RuleTotal(
        "all rules", sum(each.awards for each in totals), sum(each.points for each in totals)
    )
    return [
        f"{'Rule':<26}{'awards':>12}{'points':>14}",
        *(f"{each.rule_type:<26}{each.awards:>12,}{each.points:>14,}" for each in totals),
        f"{everything.rule_type:<26}{everything.awards:>12,}{everything.points:>14,}",
    ]


def _top(top: list[LeaderboardRow], report: demo.DemoReport) -> list[str]:
    return [
        f"Top hosts of the week from {monday_of(report.last_day)} to {report.last_day}",
        *(f"{row.rank:>3}. {row.external_id:<21}{row.points:>26,}" for row in top),
    ]


def _look(password: str | None) -> list[str]:
    lines = [
        f"To look around, run `python manage.py runserver` and open {ADDRESS}",
    ]
    if password is not None:
        lines.append(
            f"Sign in as {demo.ADMIN} with the password {password} (shown only this once)."
        )
    else:
        lines.append(
            f"The admin user is there already; `python manage.py changepassword {demo.ADMIN}` "
            "gives it a new password."
        )
    if "LOCALDB" in connection.settings_dict:
        lines.append(
            "The private database goes on running; `python manage.py localdb stop` ends it."
        )
    return lines
