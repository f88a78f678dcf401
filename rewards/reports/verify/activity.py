"""The daily activity against the events that it counts."""

from rewards.choices import RULE_TYPE_SPECS, Cadence
from rewards.reports.verify.invariants import HOST_WEIGHT, Invariant
from rewards.selectors.eligibility import LAST_ELIGIBLE_DAYS

DAILY_COLUMNS = {
    rule_type.value: spec.metric
    for rule_type, spec in RULE_TYPE_SPECS.items()
    if spec.cadence == Cadence.DAILY
}
"""Daily rule type -> the column of DailyActivity that it evaluates by."""

# What the rules in force ask of each day that a run has evaluated.
_ASKED = f"""
    SELECT reference_date AS date, {
    ", ".join(
        f"min(threshold) FILTER (WHERE rule_type = '{kind}') AS {column}"
        for kind, column in DAILY_COLUMNS.items()
    )
}
    FROM (
        SELECT DISTINCT reference_date FROM rewards_awardrun
        WHERE cadence = 'daily' AND status = 'done'
    ) AS runs
    CROSS JOIN LATERAL (
        SELECT DISTINCT ON (rule_type) *
        FROM rewards_rewardrule
        WHERE starts_on <= reference_date
        ORDER BY rule_type, starts_on DESC
    ) AS rule
    WHERE is_active
    GROUP BY 1
"""  # noqa: S608 - constants

# A host's events of a kind weigh what the hash of both does: for each second once, and for each
# event as often as fifty thousand calls of a whole day would. So one sum tells all of a day, and no
# product is larger than a bigint.
_WEIGHT = "(hashtextextended({kind}, user_id) >> 33)"
_OF_AN_EVENT = 2**32 - 5

# What was counted on each day, and who has come to what is asked, in one look at each host's day.
# Arrays, not joins, keep the plan one that several processes can share.
_DAYS = f"""
    SELECT date,
        count(*) AS counted,
        sum(logins + audio_calls + video_calls) AS events,
        bool_or(logins + audio_calls + video_calls = 0) AS is_empty,
        {_OF_AN_EVENT} * sum(login * logins + audio * audio_calls + video * video_calls)
            + coalesce(sum(audio * audio_seconds + video * video_seconds)
                FILTER (WHERE is_small), 0)
            + coalesce(sum(audio::numeric * audio_seconds + video::numeric * video_seconds)
                FILTER (WHERE NOT is_small), 0) AS hashed,
        {
    ", ".join(
        f"sum(earns) FILTER (WHERE {column} >= {column}_asked) AS {column}_reached"
        for column in DAILY_COLUMNS.values()
    )
}
    FROM (
        SELECT activity.*, asked.*,
            {_WEIGHT.format(kind="'login'")} AS login,
            {_WEIGHT.format(kind="'audio_call'")} AS audio,
            {_WEIGHT.format(kind="'video_call'")} AS video,
            greatest(audio_seconds, video_seconds) < {2**31}
                AND least(audio_seconds, video_seconds) >= 0 AS is_small,
            CASE WHEN last_eligible_day < date THEN NULL ELSE {HOST_WEIGHT} END
                AS earns
        FROM rewards_dailyactivity AS activity
        LEFT JOIN unnest({
    ", ".join(f"ARRAY(SELECT {column} FROM asked)" for column in ["date", *DAILY_COLUMNS.values()])
}) AS asked (day, {", ".join(f"{column}_asked" for column in DAILY_COLUMNS.values())}) ON day = date
        LEFT JOIN {LAST_ELIGIBLE_DAYS} AS ending USING (user_id)
    ) AS host
    GROUP BY 1
"""  # noqa: S608 - constants

_HAPPENED = f"""
    SELECT business_date AS date, count(*) AS arrived,
        sum({_WEIGHT.format(kind="kind")} * CASE
            WHEN kind = 'login' THEN {_OF_AN_EVENT}
            WHEN duration_seconds >= %(min_call_seconds)s
            THEN {_OF_AN_EVENT} + duration_seconds ELSE 0 END) AS hashed,
        min(occurred_at) AS first, max(occurred_at) AS last,
        bool_or(occurred_at > received_at AND occurred_at > received_at + interval '5 min')
            AS is_early
    FROM rewards_activityevent
    GROUP BY 1
"""  # noqa: S608 - constants

_WINDOWS = """
    SELECT *
    FROM unnest(%(days)s::date[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
        AS day (date, starts_at, ends_at)
"""

# While these constraints are what they are and valid, no row needs a look at its length and ids.
_CHECKED = """
    SELECT count(*) = 2 AS is_all FROM pg_constraint
    WHERE conrelid = 'rewards_activityevent'::regclass AND convalidated
    AND pg_get_constraintdef(oid) IN (
        'CHECK (((duration_seconds >= 0) AND (duration_seconds <= 86400)))',
        'CHECK (((NOT ((event_id)::text = ''''::text)) AND (NOT ((source)::text = ''''::text))))')
"""

_IS_ODD = """
    (occurred_at >= starts_at AND occurred_at < ends_at) IS NOT TRUE
    OR occurred_at > received_at + interval '5 min'
    OR duration_seconds NOT BETWEEN 0 AND 86400 OR event_id = '' OR source = ''
"""

READINGS = {
    "asked": _ASKED,
    "days": _DAYS,
    "happened": _HAPPENED,
    "windows": _WINDOWS,
    "checked": _CHECKED,
    "odd_days": """
        SELECT date FROM happened LEFT JOIN windows USING (date)
        WHERE (first >= starts_at AND last < ends_at) IS NOT TRUE OR is_early
        OR NOT (SELECT is_all FROM checked)
    """,
    "unlike_days": """
        SELECT date FROM happened FULL JOIN days USING (date)
        WHERE coalesce(happened.hashed, 0) <> coalesce(days.hashed, 0) OR is_empty
    """,
}

INVARIANTS = [
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
        "SELECT coalesce(sum(counted), 0) FROM days",
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
]
