"""The roles of staff, as groups, and the schedule of beat."""

from typing import Any, ClassVar

from django.contrib.auth.management import create_permissions
from django.db import migrations

READS = (
    "view_activityevent",
    "view_awardrun",
    "view_dailyactivity",
    "view_host",
    "view_rewardrule",
    "view_score",
    "view_scorehistory",
)

ROLES: dict[str, tuple[str, ...]] = {
    "Viewer": READS,
    "Rule editor": (*READS, "add_rewardrule", "change_rewardrule", "delete_rewardrule"),
    "Operator": (*READS, "start_awardrun", "add_host", "change_host"),
}
"""Permissions of each role. Only superusers manage staff and groups."""


def create_roles(apps: Any, schema_editor: Any) -> None:
    """Create the groups; a group of the same name keeps its members and gains permissions."""
    database = schema_editor.connection.alias
    # Django creates permissions after the last migration; they are needed here. It skips
    # applications without a models module, which those of a migration lack.
    rewards = apps.get_app_config("rewards")
    rewards.models_module = getattr(rewards, "models_module", True)
    create_permissions(rewards, verbosity=0, using=database, apps=apps)

    permissions = apps.get_model("auth", "Permission").objects.using(database)
    for name, codenames in ROLES.items():
        group, _ = apps.get_model("auth", "Group").objects.using(database).get_or_create(name=name)
        group.permissions.add(
            *permissions.filter(content_type__app_label="rewards", codename__in=codenames)
        )


def remove_roles(apps: Any, schema_editor: Any) -> None:
    groups = apps.get_model("auth", "Group").objects.using(schema_editor.connection.alias)
    groups.filter(name__in=ROLES).delete()


TICK = "Award what is due"
TICK_MINUTES = 5


def create_tick(apps: Any, schema_editor: Any) -> None:
    """Create the schedule; one of the same name stays as it is."""
    database = schema_editor.connection.alias
    intervals = apps.get_model("django_celery_beat", "IntervalSchedule").objects.using(database)
    tasks = apps.get_model("django_celery_beat", "PeriodicTask").objects.using(database)
    interval = intervals.filter(every=TICK_MINUTES, period="minutes").first()
    tasks.get_or_create(
        name=TICK,
        defaults={
            "task": "award_due",
            "interval": interval or intervals.create(every=TICK_MINUTES, period="minutes"),
            "description": "How often to check what is due; the database knows what is.",
        },
    )


def remove_tick(apps: Any, schema_editor: Any) -> None:
    database = schema_editor.connection.alias
    tasks = apps.get_model("django_celery_beat", "PeriodicTask").objects.using(database)
    tasks.filter(name=TICK).delete()


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
        ("rewards", "0002_database_rules"),
    ]

    operations: ClassVar = [
        migrations.RunPython(create_roles, remove_roles),
        migrations.RunPython(create_tick, remove_tick),
    ]
