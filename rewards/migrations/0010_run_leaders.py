"""A run notes how many hosts it rewarded and who led its week, so that no page adds them up."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("rewards", "0009_tick")]

    operations: ClassVar = [
        migrations.AddField(
            model_name="awardrun",
            name="rewarded",
            field=models.PositiveBigIntegerField(
                default=0, help_text="Hosts that had no award for the reference date before."
            ),
        ),
        migrations.AddField(
            model_name="awardrun",
            name="leaders",
            field=models.JSONField(
                default=list,
                blank=True,
                help_text="[host, points] of those who led the week of the reference date when "
                "the run ended, so that nobody has to add a week up to see them.",
            ),
        ),
        migrations.AddField(
            model_name="awardshard",
            name="rewarded",
            field=models.PositiveIntegerField(default=0),
        ),
    ]
