"""The roles of staff, as groups: who may look, who writes rules, who runs the engine."""

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
"""What each role may do. Staff and groups are for superusers alone."""


def create_roles(apps: Any, schema_editor: Any) -> None:
    """Create the groups; a group of the same name keeps its members and gains the rights."""
    database = schema_editor.connection.alias
    # Django creates permissions only after the last migration, so they are asked for here. It
    # passes over applications without models, which those of a migration seem to be.
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


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("rewards", "0002_append_only_ledger"),
    ]

    operations: ClassVar = [
        migrations.AlterModelOptions(
            name="awardrun",
            options={
                "ordering": ["-started_at", "-id"],
                "permissions": [("start_awardrun", "Can start runs")],
            },
        ),
        migrations.RunPython(create_roles, remove_roles),
    ]
