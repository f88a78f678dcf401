-- The best SQL we could write by hand: judge, write what is new to the ledger, and feed what was
-- written to the scores, all in one statement. Every host has a score, as on any day but its first:
-- creating what is missing (INSERT ... ON CONFLICT DO UPDATE, as the engine does) is slower.
WITH rule AS MATERIALIZED (
    SELECT DISTINCT ON (rule_type) id, rule_type, threshold, points, is_active
    FROM rewards_rewardrule
    WHERE starts_on <= %(day)s
    ORDER BY rule_type, starts_on DESC
), paid AS (
    INSERT INTO rewards_scorehistory
        (user_id, rule_type, reference_date, points, rule_id, measured, threshold, run_id)
    SELECT did.user_id, rule.rule_type, did.date, rule.points, rule.id, found.measured,
        rule.threshold, %(run)s
    FROM rewards_dailyactivity AS did
    JOIN rewards_user AS host ON host.id = did.user_id
        AND host.is_host AND (host.left_on IS NULL OR host.left_on >= did.date)
    CROSS JOIN LATERAL (VALUES
        ('DAILY_LOGIN', did.logins),
        ('DAILY_AUDIO_CALL_TARGET', did.audio_calls),
        ('DAILY_VIDEO_CALL_TARGET', did.video_calls)
    ) AS found (rule_type, measured)
    JOIN rule ON rule.rule_type = found.rule_type
        AND rule.is_active AND found.measured >= rule.threshold
    WHERE did.date = %(day)s
    ORDER BY did.user_id
    ON CONFLICT (reference_date, user_id, rule_type) DO NOTHING
    RETURNING user_id, points
)
UPDATE rewards_score AS score SET
    lifetime = score.lifetime + earned.points,
    daily = earned.points + CASE WHEN score.daily_date = %(day)s THEN score.daily ELSE 0 END,
    daily_date = %(day)s,
    weekly = earned.points + CASE WHEN score.week_start = %(monday)s THEN score.weekly ELSE 0 END,
    week_start = %(monday)s
FROM (SELECT user_id, sum(points) AS points FROM paid GROUP BY user_id) AS earned
WHERE score.user_id = earned.user_id
