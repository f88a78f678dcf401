"""How often beat starts a task."""

from django_celery_beat.models import IntervalSchedule

from rewards.models import Schedule

MAX_MINUTES = 60
"""With a longer interval, a day would be awarded late without a hint."""


def set_schedule(*, schedule: Schedule, minutes: int, is_enabled: bool) -> None:
    """Start the task of `schedule` every `minutes`, or not at all; beat needs no restart."""
    every = {"every": minutes, "period": IntervalSchedule.MINUTES}
    schedule.interval = IntervalSchedule.objects.filter(
        **every
    ).first() or IntervalSchedule.objects.create(**every)
    schedule.crontab = schedule.solar = schedule.clocked = None
    schedule.enabled = is_enabled
    schedule.full_clean()
    schedule.save()
