-- The minimum of an import, in one transaction: copy the file to a temporary table, insert the new
-- events and add up their counts. It trusts every row: no validation, no report.
CREATE TEMPORARY TABLE imported (
    event_id text, user_id text, kind text, occurred_at timestamptz, seconds integer
) ON COMMIT DROP;
COPY imported FROM '{file}' (FORMAT csv, HEADER);
ANALYZE imported;
WITH stored AS (
    INSERT INTO rewards_activityevent
        (source, event_id, user_id, kind, occurred_at, duration_seconds, business_date)
    SELECT 'app', event_id, host.id, kind, occurred_at, seconds,
        (occurred_at AT TIME ZONE 'UTC')::date
    FROM imported
    JOIN rewards_user AS host ON host.external_id = imported.user_id AND host.is_host
    ON CONFLICT (source, event_id) DO NOTHING
    RETURNING user_id, kind, duration_seconds, business_date
)
INSERT INTO rewards_dailyactivity AS daily
    (date, user_id, logins, audio_calls, video_calls, audio_seconds, video_seconds)
SELECT business_date, user_id,
    count(*) FILTER (WHERE kind = 'login'),
    count(*) FILTER (WHERE kind = 'audio_call'),
    count(*) FILTER (WHERE kind = 'video_call'),
    coalesce(sum(duration_seconds) FILTER (WHERE kind = 'audio_call'), 0),
    coalesce(sum(duration_seconds) FILTER (WHERE kind = 'video_call'), 0)
FROM stored
WHERE kind = 'login' OR duration_seconds >= 1
GROUP BY business_date, user_id
ON CONFLICT (date, user_id) DO UPDATE SET
    logins = daily.logins + excluded.logins,
    audio_calls = daily.audio_calls + excluded.audio_calls,
    video_calls = daily.video_calls + excluded.video_calls,
    audio_seconds = daily.audio_seconds + excluded.audio_seconds,
    video_seconds = daily.video_seconds + excluded.video_seconds;
