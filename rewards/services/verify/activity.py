"""The daily activity against the events that it counts."""

from rewards.services.verify.invariants import Invariant, Question

# What happened and what was counted on each day. A host's events of a kind weigh what its hash
# does, for each event and for each second of it, so that one sum tells all of that.
_OF_AN_EVENT = 1_000_003

_HAPPENED = f"""
    SELECT business_date AS date, count(*) AS arrived,
        sum((hashtextextended(kind, user_id) >> 32) * CASE
            WHEN kind = 'login' THEN {_OF_AN_EVENT}
            WHEN duration_seconds >= %(min_call_seconds)s
            THEN {_OF_AN_EVENT}::bigint + duration_seconds ELSE 0 END) AS hashed,
        min(occurred_at) AS first, max(occurred_at) AS last,
        bool_or(occurred_at > received_at AND occurred_at > received_at + interval '5 min')
            AS is_early
    FROM rewards_activityevent
    GROUP BY 1
"""  # noqa: S608 - a constant

_COUNTED = f"""
    SELECT date, bool_or(logins + audio_calls + video_calls = 0) AS is_empty,
        {_OF_AN_EVENT} * (sum(login * logins) + sum(audio * audio_calls) + sum(video * video_calls))
            + sum(audio::numeric * audio_seconds) + sum(video::numeric * video_seconds) AS hashed
    FROM rewards_dailyactivity CROSS JOIN LATERAL (
        SELECT hashtextextended('login', user_id) >> 32 AS login,
            hashtextextended('audio_call', user_id) >> 32 AS audio,
            hashtextextended('video_call', user_id) >> 32 AS video
    ) AS host
    GROUP BY 1
"""  # noqa: S608 - a constant

_WINDOWS = """
    SELECT *
    FROM unnest(%(days)s::date[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
        AS day (date, starts_at, ends_at)
"""

# What no row can be while these constraints are valid, which takes no look at the rows.
_CHECKED = """
    SELECT count(*) = 2 AS is_all FROM pg_constraint
    WHERE conrelid = 'rewards_activityevent'::regclass AND convalidated AND conname IN
        ('rewards_activityevent_lasts_a_day_at_most', 'rewards_activityevent_has_an_id')
"""

_IS_ODD = """
    (occurred_at >= starts_at AND occurred_at < ends_at) IS NOT TRUE
    OR occurred_at > received_at + interval '5 min'
    OR duration_seconds NOT BETWEEN 0 AND 86400 OR event_id = '' OR source = ''
"""

THE_ACTIVITY = Question(
    {
        "happened": _HAPPENED,
        "counted": _COUNTED,
        "windows": _WINDOWS,
        "checked": _CHECKED,
        "odd_days": """
            SELECT date FROM happened LEFT JOIN windows USING (date)
            WHERE (first >= starts_at AND last < ends_at) IS NOT TRUE OR is_early
            OR NOT (SELECT is_all FROM checked)
        """,
        "unlike_days": """
            SELECT date FROM happened FULL JOIN counted USING (date)
            WHERE coalesce(happened.hashed, 0) <> coalesce(counted.hashed, 0) OR is_empty
        """,
    },
    [
        Invariant(
            "I16",
            "events lie on their business day, and not in the future of their arrival",
            "SELECT coalesce(sum(arrived), 0) FROM happened",
            f"""SELECT source, event_id FROM rewards_activityevent
            JOIN odd_days ON date = business_date LEFT JOIN windows USING (date)
            WHERE {_IS_ODD}""",  # noqa: S608 - a constant
        ),
        Invariant(
            "D1",
            "daily activity is the count of its events",
            "SELECT count(*) FROM rewards_dailyactivity",
            """SELECT * FROM (
                SELECT user_id, business_date AS date,
                    count(*) FILTER (WHERE kind = 'login') AS logins,
                    count(*) FILTER (WHERE kind = 'audio_call') AS audio_calls,
                    count(*) FILTER (WHERE kind = 'video_call') AS video_calls,
                    coalesce(sum(duration_seconds) FILTER (WHERE kind = 'audio_call'), 0) AS audio,
                    coalesce(sum(duration_seconds) FILTER (WHERE kind = 'video_call'), 0) AS video
                FROM rewards_activityevent JOIN unlike_days ON date = business_date
                WHERE kind = 'login' OR duration_seconds >= %(min_call_seconds)s
                GROUP BY 1, 2
            ) e FULL JOIN (
                SELECT * FROM rewards_dailyactivity JOIN unlike_days USING (date)
            ) d USING (user_id, date)
            WHERE (e.logins, e.audio_calls, e.video_calls, e.audio, e.video) IS DISTINCT FROM
                (d.logins, d.audio_calls, d.video_calls, d.audio_seconds, d.video_seconds)""",
        ),
    ],
)
