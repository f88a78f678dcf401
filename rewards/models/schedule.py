from django_celery_beat.models import PeriodicTask


class Schedule(PeriodicTask):  # type: ignore[misc]  # the library ships no types
    """How often beat starts a task."""

    class Meta:
        proxy = True
        verbose_name = "schedule"
        verbose_name_plural = "schedule"
