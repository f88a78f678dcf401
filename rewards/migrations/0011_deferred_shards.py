"""A shard that others were in the way of is deferred; takeovers count while nothing is done."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("rewards", "0010_run_leaders"),
    ]

    operations: ClassVar = [
        migrations.RemoveConstraint(
            model_name="awardshard",
            name="rewards_awardshard_status_is_known",
        ),
        migrations.AddField(
            model_name="awardrun",
            name="taken_over_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="awardrun",
            name="takeovers",
            field=models.PositiveSmallIntegerField(
                default=0,
                help_text="How often in a row a process took over from a dead one and did not "
                "finish a single shard.",
            ),
        ),
        migrations.AlterField(
            model_name="awardshard",
            name="status",
            field=models.CharField(
                choices=[
                    ("pending", "Pending"),
                    ("done", "Done"),
                    ("deferred", "Deferred"),
                    ("failed", "Failed"),
                ],
                default="pending",
                max_length=8,
            ),
        ),
        migrations.AddConstraint(
            model_name="awardshard",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["pending", "done", "deferred", "failed"])),
                name="rewards_awardshard_status_is_known",
                violation_error_message="Unknown status.",
            ),
        ),
    ]
