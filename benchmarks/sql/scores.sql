-- Update the scores with the ledger rows of a run. It assumes that every host has a score.
UPDATE rewards_score AS score SET
    lifetime = score.lifetime + earned.points,
    daily = earned.points + CASE WHEN score.daily_date = %(day)s THEN score.daily ELSE 0 END,
    daily_date = %(day)s,
    weekly = earned.points + CASE WHEN score.week_start = %(monday)s THEN score.weekly ELSE 0 END,
    week_start = %(monday)s
FROM (
    SELECT user_id, sum(points) AS points
    FROM rewards_scorehistory
    WHERE reference_date = %(day)s AND run_id = %(run)s
    GROUP BY user_id
) AS earned
WHERE score.user_id = earned.user_id
