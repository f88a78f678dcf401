"""What was executed."""

from datetime import date

from django.db.models import Max

from rewards.choices import Cadence, RunStatus
from rewards.models import AwardRun


def events_seen(*, cadence: Cadence, reference_date: date) -> int | None:
    """Return how much counted activity the last complete run had before it; None without one."""
    seen: int | None = AwardRun.objects.filter(
        cadence=cadence, reference_date=reference_date, status=RunStatus.DONE
    ).aggregate(most=Max("events_seen"))["most"]
    return seen
