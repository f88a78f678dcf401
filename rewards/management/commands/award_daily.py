from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.management.base import CommandParser
from django.utils import timezone

from rewards.calendar import last_closed_day
from rewards.choices import Cadence, RunTrigger
from rewards.management.award import AwardCommand
from rewards.management.base import day, period_days
from rewards.services import awarding


class Command(AwardCommand):
    help = "Pay hosts what the daily rules say of business days that have ended."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--date", type=day, help="default: the last day that has ended")
        parser.add_argument("--from", type=day, dest="first", help="first day of a range")
        parser.add_argument("--to", type=day, dest="last", help="last day of a range")
        super().add_arguments(parser)

    def handle(
        self,
        *,
        date: date | None,
        first: date | None,
        last: date | None,
        dry_run: bool,
        workers: int,
        enqueue: bool,
        **_: Any,
    ) -> None:
        now = timezone.now()
        days = period_days(
            single=date,
            first=first,
            last=last,
            default=last_closed_day(now, ZoneInfo(settings.REWARDS_TIME_ZONE)),
            name="date",
        )
        # Before anything is written of the days before it.
        awarding.require_ended(cadence=Cadence.DAILY, reference_date=days[-1], now=now)
        self.award_all(
            days,
            lambda each, labour: awarding.award_daily(
                day=each,
                now=now,
                trigger=RunTrigger.COMMAND,
                is_dry_run=dry_run,
                labour=labour,
                on_progress=self.run_progress(str(each)),
            ),
            dry_run=dry_run,
            workers=workers,
            enqueue=enqueue,
        )
