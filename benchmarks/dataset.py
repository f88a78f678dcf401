"""Hosts, rules and activity from a fixed seed: the same data for every variant."""

import subprocess
import sys
from datetime import date, timedelta

from benchmarks.server import Server

SEED = 0.42

MIGRATED = "migrated"
"""The template database: migrated and empty."""

MONDAY = date(2025, 3, 10)
YESTERDAY = MONDAY + timedelta(days=2)
DAY = MONDAY + timedelta(days=3)
"""The day evaluated. The awards of YESTERDAY are in the ledger and the scores already."""

RULES = [
    ("DAILY_LOGIN", 1, 10),
    ("DAILY_AUDIO_CALL_TARGET", 3, 30),
    ("DAILY_VIDEO_CALL_TARGET", 2, 50),
    ("WEEKLY_CONSISTENCY", 5, 100),
]

_HOSTS = """
    INSERT INTO rewards_user (external_id, username, password, is_host, is_active, is_staff,
        is_superuser, first_name, last_name, email, date_joined)
    SELECT 'host-' || n, 'host:host-' || n, '!' || md5(n::text), true, true, false,
        false, '', '', '', '2025-01-01T00:00:00Z'
    FROM generate_series(1, %(hosts)s) AS n
"""

_RULE = """
    INSERT INTO rewards_rewardrule
        (rule_type, threshold, points, is_active, starts_on, created_at)
    VALUES (%s, %s, %s, true, '2025-01-01', '2025-01-01T00:00:00Z')
"""

# Exponentially distributed counts: of the active hosts all reach the login threshold, 70% the
# audio target and 60% the video target. That is 2.3 awards per active host.
_ACTIVITY = """
    INSERT INTO rewards_dailyactivity
        (date, user_id, logins, audio_calls, video_calls, audio_seconds, video_seconds)
    SELECT %(day)s, id, 1 + logins, audio, video, audio * 180, video * 240
    FROM (
        SELECT id,
            floor(-ln(1 - random()) * 1.5)::int AS logins,
            floor(-ln(1 - random()) * 3 / -ln(0.7))::int AS audio,
            floor(-ln(1 - random()) * 2 / -ln(0.6))::int AS video,
            random() AS luck
        FROM rewards_user ORDER BY id
    ) AS drawn
    WHERE luck < %(share)s
    ORDER BY id
"""

_SCORES = """
    INSERT INTO rewards_score (user_id, lifetime, daily, daily_date, weekly, week_start)
    SELECT id, 0, 0, %(day)s, 0, %(day)s FROM rewards_user ORDER BY id
"""


# Django sets these defaults in Python; the SQL statements here need them in the database.
_DEFAULTS = """
    DO $$
    DECLARE
        field record;
    BEGIN
        FOR field IN
            SELECT table_name, column_name,
                CASE data_type WHEN 'jsonb' THEN '[]' WHEN 'text' THEN ''
                    WHEN 'character varying' THEN '' ELSE '0' END AS value
            FROM information_schema.columns
            WHERE table_name IN ('rewards_awardrun', 'rewards_awardbatch', 'rewards_rewardrule')
                AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO'
                AND data_type IN ('jsonb', 'text', 'character varying', 'bigint', 'integer',
                    'smallint')
        LOOP
            EXECUTE format('ALTER TABLE %I ALTER %I SET DEFAULT %L',
                field.table_name, field.column_name, field.value);
        END LOOP;
    END $$
"""


def build(server: Server, name: str, *, hosts: int, days: dict[date, float]) -> None:
    """Create the database `name` with rules, hosts, zero scores and activity.

    `days` maps each day to the share of hosts active on it.
    """
    if not server.has(MIGRATED):
        server.create(MIGRATED)
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
            env=server.environment(MIGRATED),
            check=True,
        )
        with server.connect(MIGRATED) as connection:
            connection.execute(_DEFAULTS)
    server.drop(name)
    server.create(name, template=MIGRATED)
    with server.connect(name) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT setseed(%s)", [SEED])
        cursor.execute(_HOSTS, {"hosts": hosts})
        cursor.executemany(_RULE, RULES)
        cursor.execute(_SCORES, {"day": MONDAY})
        for day, share in days.items():
            cursor.execute(_ACTIVITY, {"day": day, "share": share})
    vacuum(server, name)


def vacuum(server: Server, name: str) -> None:
    """Vacuum and checkpoint now, so that the first variant does not pay for it."""
    with server.connect(name) as connection:
        connection.execute("VACUUM (FREEZE, ANALYZE)")
        connection.execute("CHECKPOINT")
