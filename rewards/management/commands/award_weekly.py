from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.management.base import CommandParser
from django.utils import timezone

from rewards.calendar import last_closed_week
from rewards.choices import Cadence, RunTrigger
from rewards.management.award import AwardCommand
from rewards.management.base import day, period_days
from rewards.services import awarding


class Command(AwardCommand):
    help = "Pay hosts what the weekly rules say of weeks that have ended."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--week", type=day, metavar="MONDAY", help="default: the last week that has ended"
        )
        parser.add_argument("--from", type=day, dest="first", help="first Monday of a range")
        parser.add_argument("--to", type=day, dest="last", help="last Monday of a range")
        super().add_arguments(parser)

    def handle(
        self,
        *,
        week: date | None,
        first: date | None,
        last: date | None,
        dry_run: bool,
        workers: int,
        enqueue: bool,
        **_: Any,
    ) -> None:
        now = timezone.now()
        days = period_days(
            single=week,
            first=first,
            last=last,
            default=last_closed_week(now, ZoneInfo(settings.REWARDS_TIME_ZONE)),
            name="week",
        )
        for bound in (days[0], days[-1]):
            awarding.require_ended(cadence=Cadence.WEEKLY, reference_date=bound, now=now)
        self.award_all(
            days[::7],
            lambda each, labour: awarding.award_weekly(
                monday=each,
                now=now,
                trigger=RunTrigger.COMMAND,
                is_dry_run=dry_run,
                labour=labour,
                on_progress=self.run_progress(f"week {each}"),
            ),
            dry_run=dry_run,
            workers=workers,
            enqueue=enqueue,
        )
