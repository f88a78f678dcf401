-- The fastest SQL we could write by hand: evaluate, insert the new ledger rows and update the scores
-- with them, in one statement. It assumes that every host has a score. Creating missing scores
-- (INSERT ... ON CONFLICT DO UPDATE, as the engine does) is slower.
WITH rule AS MATERIALIZED (
    SELECT DISTINCT ON (rule_type) id, rule_type, threshold, points, is_active
    FROM rewards_rewardrule
    WHERE starts_on <= %(day)s
    ORDER BY rule_type, starts_on DESC
), written AS (
    INSERT INTO rewards_scorehistory
        (user_id, rule_type, reference_date, points, rule_id, measured, threshold, run_id)
    SELECT activity.user_id, rule.rule_type, activity.date, rule.points, rule.id, fact.measured,
        rule.threshold, %(run)s
    FROM rewards_dailyactivity AS activity
    JOIN rewards_user AS host ON host.id = activity.user_id
        AND host.is_host AND (host.left_on IS NULL OR host.left_on >= activity.date)
    CROSS JOIN LATERAL (VALUES
        ('DAILY_LOGIN', activity.logins),
        ('DAILY_AUDIO_CALL_TARGET', activity.audio_calls),
        ('DAILY_VIDEO_CALL_TARGET', activity.video_calls)
    ) AS fact (rule_type, measured)
    JOIN rule ON rule.rule_type = fact.rule_type
        AND rule.is_active AND fact.measured >= rule.threshold
    WHERE activity.date = %(day)s
    ORDER BY activity.user_id
    ON CONFLICT (reference_date, user_id, rule_type, entry) DO NOTHING
    RETURNING user_id, points
)
UPDATE rewards_score AS score SET
    lifetime = score.lifetime + earned.points,
    daily = earned.points + CASE WHEN score.daily_date = %(day)s THEN score.daily ELSE 0 END,
    daily_date = %(day)s,
    weekly = earned.points + CASE WHEN score.week_start = %(monday)s THEN score.weekly ELSE 0 END,
    week_start = %(monday)s
FROM (SELECT user_id, sum(points) AS points FROM written GROUP BY user_id) AS earned
WHERE score.user_id = earned.user_id
