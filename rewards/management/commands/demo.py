import json
import logging
from datetime import datetime
from itertools import islice
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser
from django.db import connection
from django.utils import timezone

from rewards.choices import Cadence, RunStatus
from rewards.demo import Activity, Bundled, Synthetic
from rewards.engine.business_days import monday_of
from rewards.engine.periods import MAX_DAYS
from rewards.management.base import RewardsCommand, whole_number
from rewards.reports.leaderboard import LeaderboardRow, ranking
from rewards.selectors.ledger import RuleTotal, totals_by_rule
from rewards.selectors.time_zone import business_date
from rewards.services import demo
from rewards.wording import count

ADDRESS = "http://127.0.0.1:8000/admin/"
API_ADDRESS = "http://127.0.0.1:8000/api/v1"


class Command(RewardsCommand):
    help = "Fill an empty database with activity and award it. Safe to run again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--hosts",
            type=whole_number(min_value=1, max_value=5_000_000),
            metavar="N",
            help="synthetic activity of N hosts instead of the sample; default with --days: 1,000",
        )
        parser.add_argument(
            "--days",
            type=whole_number(min_value=1, max_value=MAX_DAYS),
            metavar="N",
            help="synthetic activity of N days instead of the sample; default with --hosts: 14",
        )

    def handle(self, *, hosts: int | None, days: int | None, verbosity: int, **_: Any) -> None:
        activity: Activity = Bundled()
        if hosts or days:
            activity = Synthetic(hosts=hosts or 1_000, days=days or 14)
        if verbosity == 1:
            # A log line for every run would break the progress bar; restored by execute().
            logging.getLogger("rewards").setLevel(logging.WARNING)
        on_prepare = self.progress("Preparing")
        on_prepare(0, 2)
        with demo.demo_lock():  # the first connection: it starts the database
            demo.require_usable_database(activity=activity)
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
        # Without output nobody would see the password and the key.
        now = timezone.now()
        password = None if self.is_quiet else demo.make_admin()
        key = None if self.is_quiet else demo.make_client(now=now)
        self.report(
            "\n".join(
                [
                    *_done(report),
                    "",
                    *_totals(totals),
                    "",
                    *_top(top, report),
                    "",
                    *_next_steps(password),
                    *_first_event(key, top, now),
                ]
            ),
            {
                **report.to_dict(),
                "totals": [total._asdict() for total in totals],
                "top_hosts": [
                    {"external_id": row.external_id, "points": row.points} for row in top
                ],
                "admin": {"url": ADDRESS, "username": demo.ADMIN, "password": password},
                "api": {"url": API_ADDRESS, "source": demo.SOURCE, "key": key},
            },
        )


def _done(report: demo.DemoReport) -> list[str]:
    days = f"{report.first_day} to {report.last_day}"
    if not report.is_changed:
        return [f"Nothing to do: the demo of {days} is complete."]
    dates = sum(run.period.cadence == Cadence.DAILY for run in report.runs)
    return [
        f"Imported {count(report.stored, 'event')} of {days}; "
        f"{count(report.hosts_created, 'host')} created.",
        f"Wrote {count(report.rules_written, 'rule')}; awarded {count(dates, 'day')} and "
        f"{count(len(report.runs) - dates, 'week')}.",
    ]


def _totals(totals: list[RuleTotal]) -> list[str]:
    rows = [
        *totals,
        RuleTotal(
            "all rules", sum(row.awards for row in totals), sum(row.points for row in totals)
        ),
    ]
    return [
        f"{'Rule':<26}{'awards':>12}{'points':>14}",
        *(f"{row.rule_type:<26}{row.awards:>12,}{row.points:>14,}" for row in rows),
    ]


def _top(top: list[LeaderboardRow], report: demo.DemoReport) -> list[str]:
    return [
        f"Top hosts of the week from {monday_of(report.last_day)} to {report.last_day}",
        *(f"{row.rank:>3}. {row.external_id:<21}{row.points:>26,}" for row in top),
    ]


def _next_steps(password: str | None) -> list[str]:
    lines = [f"Run `python manage.py runserver` and open {ADDRESS}"]
    if password is not None:
        lines.append(f"Sign in as {demo.ADMIN} with the password {password} (shown only once).")
    else:
        lines.append(
            "There is an admin user already; `python manage.py changepassword USERNAME` sets a new "
            "password."
        )
    if "LOCALDB" in connection.settings_dict:
        lines.append(
            "The private database keeps running; `python manage.py localdb stop` stops it."
        )
    return lines


def _first_event(key: str | None, top: list[LeaderboardRow], now: datetime) -> list[str]:
    """Return how to send an event, with the new key."""
    if key is None or not top:
        return []
    host = top[0].external_id
    event = {
        "event_id": f"login:{host}:{business_date(now)}",
        "user_id": host,
        "kind": "login",
        "occurred_at": f"{now:%FT%TZ}",
    }
    return [
        "",
        "Then send a login over HTTP, as the app would (the key is shown only once):",
        f"curl {API_ADDRESS}/events -H 'Authorization: Bearer {key}' "
        f"-H 'Content-Type: application/json' -d '{json.dumps({'events': [event]})}'",
    ]
