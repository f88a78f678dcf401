"""Signed points and entries in the ledger, kinds of runs, signed scores.

Once there is a live run, an undo or an adjustment, it cannot be reversed: the former constraints
refuse these rows.
"""

from importlib import import_module
from typing import ClassVar

import django.db.models.deletion
import django.db.models.functions.math
import django.db.models.lookups
from django.conf import settings
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

from rewards.models.database_rules import CREATE_FUNCTIONS_SQL

# Its first version, for a reversal.
FORMER_FUNCTION = import_module("rewards.migrations.0002_database_rules").FORMER_FUNCTION


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("rewards", "0003_roles_and_schedule"),
    ]

    operations: ClassVar = [
        migrations.RemoveConstraint(
            model_name="awardrun",
            name="rewards_awardrun_status_matches_its_end",
        ),
        migrations.RemoveConstraint(
            model_name="awardrun",
            name="rewards_awardrun_choices_are_known",
        ),
        migrations.RemoveConstraint(
            model_name="score",
            name="rewards_score_periods_are_parts_of_the_whole",
        ),
        migrations.RemoveConstraint(
            model_name="scorehistory",
            name="rewards_scorehistory_type_is_known",
        ),
        migrations.RemoveConstraint(
            model_name="scorehistory",
            name="rewards_scorehistory_points_fit",
        ),
        migrations.AddField(
            model_name="awardrun",
            name="author",
            field=models.ForeignKey(
                blank=True,
                help_text="Who undid, released or discarded; empty for the command line.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="awardrun",
            name="counted_at",
            field=models.DateTimeField(
                blank=True,
                help_text="When the awards of a live run were added up last.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="awardrun",
            name="kind",
            field=models.CharField(
                choices=[("award", "Award"), ("live", "Live"), ("undo", "Undo")],
                db_default="award",
                default="award",
                max_length=8,
            ),
        ),
        migrations.AddField(
            model_name="awardrun",
            name="reason",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Why an operator undid, released or discarded.",
                max_length=200,
            ),
        ),
        migrations.AddField(
            model_name="scorehistory",
            name="entry",
            field=models.SmallIntegerField(
                db_default=0,
                default=0,
                help_text="Even for an award, odd for the undo of the one before.",
            ),
        ),
        migrations.AlterField(
            model_name="awardbatch",
            name="awards",
            field=models.IntegerField(default=0),
        ),
        migrations.AlterField(
            model_name="awardbatch",
            name="points",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AlterField(
            model_name="awardrun",
            name="attempt",
            field=models.PositiveIntegerField(
                help_text="0 for the live run of its reference date, 1 for the first run after "
                "it, and so on."
            ),
        ),
        migrations.AlterField(
            model_name="awardrun",
            name="awards",
            field=models.BigIntegerField(default=0, help_text="Negative for an undo."),
        ),
        migrations.AlterField(
            model_name="awardrun",
            name="points",
            field=models.BigIntegerField(default=0, help_text="Negative for an undo."),
        ),
        migrations.AlterField(
            model_name="awardrun",
            name="status",
            field=models.CharField(
                choices=[
                    ("running", "Running"),
                    ("live", "Live"),
                    ("held", "Held"),
                    ("done", "Done"),
                    ("partial", "Partial"),
                    ("failed", "Failed"),
                ],
                default="running",
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="awardrun",
            name="trigger",
            field=models.CharField(
                choices=[
                    ("command", "Command line"),
                    ("beat", "Schedule"),
                    ("admin", "Admin"),
                    ("api", "API"),
                ],
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="score",
            name="daily",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AlterField(
            model_name="score",
            name="lifetime",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AlterField(
            model_name="score",
            name="weekly",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AlterField(
            model_name="scorehistory",
            name="measured",
            field=models.PositiveIntegerField(
                help_text="The count that was evaluated.", blank=True, null=True
            ),
        ),
        migrations.AlterField(
            model_name="scorehistory",
            name="points",
            field=models.IntegerField(help_text="Negative for an undo or a deduction."),
        ),
        migrations.AlterField(
            model_name="scorehistory",
            name="rule",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                help_text="The version in force on the last day of the period.",
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="awards",
                to="rewards.rewardrule",
            ),
        ),
        migrations.AlterField(
            model_name="scorehistory",
            name="rule_type",
            field=models.CharField(
                choices=[
                    ("DAILY_LOGIN", "Daily login"),
                    ("DAILY_AUDIO_CALL_TARGET", "Daily audio call target"),
                    ("DAILY_VIDEO_CALL_TARGET", "Daily video call target"),
                    ("WEEKLY_CONSISTENCY", "Weekly consistency"),
                    ("ADJUSTMENT", "Adjustment"),
                ],
                max_length=32,
            ),
        ),
        migrations.AlterField(
            model_name="scorehistory",
            name="run",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="ledger_rows",
                to="rewards.awardrun",
            ),
        ),
        migrations.AlterField(
            model_name="scorehistory",
            name="threshold",
            field=models.PositiveIntegerField(
                help_text="The threshold of the version.", blank=True, null=True
            ),
        ),
        migrations.AddConstraint(
            model_name="awardrun",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("finished_at__isnull", True), ("status__in", ("running", "live", "held"))
                    ),
                    models.Q(
                        models.Q(("status__in", ("running", "live", "held")), _negated=True),
                        ("finished_at__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="rewards_awardrun_status_matches_its_end",
                violation_error_message="A run has an end time unless it is open.",
            ),
        ),
        migrations.AddConstraint(
            model_name="awardrun",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("attempt", 0), ("cadence", "daily"), ("kind", "live")),
                    models.Q(models.Q(("kind", "live"), _negated=True), ("attempt__gte", 1)),
                    _connector="OR",
                ),
                name="rewards_awardrun_live_is_attempt_0_of_a_day",
                violation_error_message="Attempt 0 of a day is its live run.",
            ),
        ),
        migrations.AddConstraint(
            model_name="awardrun",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("kind", "live"),
                        models.Q(("status__in", ["running", "partial"]), _negated=True),
                    ),
                    models.Q(
                        models.Q(("kind", "live"), _negated=True),
                        models.Q(("status", "live"), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="rewards_awardrun_status_matches_its_kind",
                violation_error_message="Only a live run is live, and it has no batches.",
            ),
        ),
        migrations.AddConstraint(
            model_name="awardrun",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("cadence__in", ["daily", "weekly"]),
                    ("kind__in", ["award", "live", "undo"]),
                    ("status__in", ["running", "live", "held", "done", "partial", "failed"]),
                    ("trigger__in", ["command", "beat", "admin", "api"]),
                ),
                name="rewards_awardrun_choices_are_known",
                violation_error_message="Unknown kind, cadence, status or trigger.",
            ),
        ),
        AddConstraintNotValid(
            model_name="scorehistory",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "rule_type__in",
                        [
                            "DAILY_LOGIN",
                            "DAILY_AUDIO_CALL_TARGET",
                            "DAILY_VIDEO_CALL_TARGET",
                            "WEEKLY_CONSISTENCY",
                            "ADJUSTMENT",
                        ],
                    )
                ),
                name="rewards_scorehistory_type_is_known",
                violation_error_message="Unknown type of ledger row.",
            ),
        ),
        AddConstraintNotValid(
            model_name="scorehistory",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("points__range", (1, 1000000)),
                    ("points__range", (-1000000, -1)),
                    _connector="OR",
                ),
                name="rewards_scorehistory_points_fit",
                violation_error_message="Points are 1 to 1,000,000, or negative.",
            ),
        ),
        AddConstraintNotValid(
            model_name="scorehistory",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("entry__gte", 0), ("rule_type", "ADJUSTMENT")),
                    models.Q(
                        models.Q(
                            django.db.models.lookups.Exact(
                                django.db.models.functions.math.Mod(models.F("entry"), 2), 0
                            )
                        ),
                        ("entry__gte", 0),
                        ("points__gt", 0),
                    ),
                    models.Q(
                        models.Q(
                            django.db.models.lookups.Exact(
                                django.db.models.functions.math.Mod(models.F("entry"), 2), 0
                            ),
                            _negated=True,
                        ),
                        ("entry__gte", 0),
                        ("points__lt", 0),
                    ),
                    _connector="OR",
                ),
                name="rewards_scorehistory_entry_matches_its_sign",
                violation_error_message="An even entry is an award, an odd one its undo.",
            ),
        ),
        AddConstraintNotValid(
            model_name="scorehistory",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        models.Q(("rule_type", "ADJUSTMENT"), _negated=True),
                        ("measured__isnull", False),
                        ("rule__isnull", False),
                        ("run__isnull", False),
                        ("threshold__isnull", False),
                    ),
                    models.Q(
                        ("measured__isnull", True),
                        ("rule__isnull", True),
                        ("rule_type", "ADJUSTMENT"),
                        ("run__isnull", True),
                        ("threshold__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="rewards_scorehistory_award_has_evidence",
                violation_error_message="An award has a run, a rule version and its counts; an "
                "adjustment has none of them.",
            ),
        ),
        migrations.RunSQL(CREATE_FUNCTIONS_SQL, FORMER_FUNCTION),
    ]
