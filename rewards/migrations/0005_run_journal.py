"""The journal learns who died and who was rejected, and each day's activity is totalled."""

from typing import ClassVar

from django.db import migrations, models

# A statement writes each (day, slot) once, in order of day, whatever the number of its rows.
TOTAL_ACTIVITY = """
CREATE FUNCTION rewards_total_activity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO rewards_activitytotal AS total (date, slot, events)
        SELECT date, pg_backend_pid() % 8, sum(logins + audio_calls + video_calls)
        FROM after_rows GROUP BY date ORDER BY date
        ON CONFLICT (date, slot) DO UPDATE SET events = total.events + excluded.events;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO rewards_activitytotal AS total (date, slot, events)
        SELECT date, pg_backend_pid() % 8, -sum(logins + audio_calls + video_calls)
        FROM before_rows GROUP BY date ORDER BY date
        ON CONFLICT (date, slot) DO UPDATE SET events = total.events + excluded.events;
    ELSE
        INSERT INTO rewards_activitytotal AS total (date, slot, events)
        SELECT date, pg_backend_pid() % 8, sum(events)
        FROM (
            SELECT date, logins + audio_calls + video_calls AS events FROM after_rows
            UNION ALL
            SELECT date, -(logins + audio_calls + video_calls) FROM before_rows
        ) AS changes
        GROUP BY date HAVING sum(events) <> 0 ORDER BY date
        ON CONFLICT (date, slot) DO UPDATE SET events = total.events + excluded.events;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER rewards_dailyactivity_is_totalled_on_insert
    AFTER INSERT ON rewards_dailyactivity REFERENCING NEW TABLE AS after_rows
    FOR EACH STATEMENT EXECUTE FUNCTION rewards_total_activity();
CREATE TRIGGER rewards_dailyactivity_is_totalled_on_update
    AFTER UPDATE ON rewards_dailyactivity
    REFERENCING OLD TABLE AS before_rows NEW TABLE AS after_rows
    FOR EACH STATEMENT EXECUTE FUNCTION rewards_total_activity();
CREATE TRIGGER rewards_dailyactivity_is_totalled_on_delete
    AFTER DELETE ON rewards_dailyactivity REFERENCING OLD TABLE AS before_rows
    FOR EACH STATEMENT EXECUTE FUNCTION rewards_total_activity();
INSERT INTO rewards_activitytotal (date, slot, events)
SELECT date, 0, sum(logins + audio_calls + video_calls) FROM rewards_dailyactivity GROUP BY date;
"""

LEAVE_ACTIVITY = """
DROP TRIGGER rewards_dailyactivity_is_totalled_on_insert ON rewards_dailyactivity;
DROP TRIGGER rewards_dailyactivity_is_totalled_on_update ON rewards_dailyactivity;
DROP TRIGGER rewards_dailyactivity_is_totalled_on_delete ON rewards_dailyactivity;
DROP FUNCTION rewards_total_activity();
"""

END_SHARDS = """
UPDATE rewards_awardshard AS shard SET finished_at = coalesce(run.finished_at, now())
FROM rewards_awardrun AS run WHERE run.id = shard.run_id AND shard.status <> 'pending'
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("rewards", "0004_rule_reason"),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="ActivityTotal",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("date", models.DateField(help_text="Business day.")),
                ("slot", models.PositiveSmallIntegerField()),
                ("events", models.BigIntegerField(help_text="Logins and completed calls.")),
            ],
        ),
        migrations.AddField(
            model_name="awardrun",
            name="rejected",
            field=models.PositiveBigIntegerField(
                default=0, help_text="Hosts that were not judged, because their shard failed."
            ),
        ),
        migrations.AddField(
            model_name="awardrun",
            name="rule_versions",
            field=models.JSONField(
                default=list,
                blank=True,
                help_text="Primary keys of the rule versions in force, settled when the run began, "
                "so that all its shards pay by the same ones.",
            ),
        ),
        migrations.AddField(
            model_name="awardrun",
            name="takeovers",
            field=models.PositiveSmallIntegerField(
                default=0, help_text="How often a process went on where another one had died."
            ),
        ),
        migrations.AddField(
            model_name="awardshard",
            name="finished_at",
            field=models.DateTimeField(null=True, blank=True),
        ),
        migrations.AddField(
            model_name="awardshard",
            name="hosts",
            field=models.PositiveIntegerField(
                default=0, help_text="Active hosts in the span when the run began."
            ),
        ),
        migrations.RunSQL(END_SHARDS, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="awardshard",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("finished_at__isnull", True), ("status", "pending")),
                    models.Q(
                        models.Q(("status", "pending"), _negated=True),
                        ("finished_at__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="rewards_awardshard_status_matches_its_end",
                violation_error_message="A shard has an end exactly when it no longer waits.",
            ),
        ),
        migrations.AddConstraint(
            model_name="activitytotal",
            constraint=models.UniqueConstraint(
                fields=("date", "slot"),
                name="rewards_activitytotal_once_per_slot",
                violation_error_message="This slot of the day exists already.",
            ),
        ),
        migrations.RunSQL(TOTAL_ACTIVITY, LEAVE_ACTIVITY),
    ]
