"""Beat's one schedule: every few minutes, award what is due."""

from typing import Any, ClassVar

from django.db import migrations

NAME = "Award what is due"
MINUTES = 5


def create_tick(apps: Any, schema_editor: Any) -> None:
    """Create the schedule; one of the same name stays as its owner has set it."""
    database = schema_editor.connection.alias
    intervals = apps.get_model("django_celery_beat", "IntervalSchedule").objects.using(database)
    tasks = apps.get_model("django_celery_beat", "PeriodicTask").objects.using(database)
    interval = intervals.filter(every=MINUTES, period="minutes").first()
    tasks.get_or_create(
        name=NAME,
        defaults={
            "task": "award_due",
            "interval": interval or intervals.create(every=MINUTES, period="minutes"),
            "description": "What is due stands in the database; this only asks how often to look.",
        },
    )


def remove_tick(apps: Any, schema_editor: Any) -> None:
    database = schema_editor.connection.alias
    tasks = apps.get_model("django_celery_beat", "PeriodicTask").objects.using(database)
    tasks.filter(name=NAME).delete()


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("django_celery_beat", "0019_alter_periodictasks_options"),
        ("rewards", "0008_find_hosts_by_name"),
    ]

    operations: ClassVar = [migrations.RunPython(create_tick, remove_tick)]
