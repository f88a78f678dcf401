"""Reckon the seconds that a day's calls can have lasted beyond 31 bits: 24,856 calls reach them."""

from typing import ClassVar

from django.db import migrations, models
from django.db.models import F, Q
from django.db.models.functions import Cast

NAME = "rewards_dailyactivity_seconds_have_calls"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("rewards", "0006_award_references")]

    operations: ClassVar = [
        migrations.RemoveConstraint(model_name="dailyactivity", name=NAME),
        migrations.AddConstraint(
            model_name="dailyactivity",
            constraint=models.CheckConstraint(
                name=NAME,
                condition=Q(
                    audio_seconds__lte=Cast(F("audio_calls"), models.BigIntegerField()) * 86_400,
                    video_seconds__lte=Cast(F("video_calls"), models.BigIntegerField()) * 86_400,
                ),
                violation_error_message="There are more seconds than the calls can have lasted.",
            ),
        ),
    ]
