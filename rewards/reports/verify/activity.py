"""Daily activity against the events that it counts."""

from rewards.reports.verify.invariants import HOST_WEIGHT, Invariant, Row
from rewards.reports.verify.rule_types import DAILY_TYPES
from rewards.selectors.eligibility import LAST_ELIGIBLE_DAYS
from rewards.wording import count


def _columns(template: str) -> str:
    """Return `template` for each daily rule type, with its name and its metric."""
    return ", ".join(
        template.format(type=rule_type, column=rule_type.lower(), metric=metric)
        for rule_type, metric in DAILY_TYPES.items()
    )


# The thresholds of the daily rules in force on each day that a run has evaluated. One row a day.
_THRESHOLDS = f"""
    SELECT reference_date AS date,
        {_columns("min(threshold) FILTER (WHERE rule_type = '{type}') AS {column}_threshold")}
    FROM (
        SELECT DISTINCT reference_date FROM rewards_awardrun
        WHERE cadence = 'daily' AND kind = 'award' AND status = 'done'
    ) AS runs
    CROSS JOIN LATERAL (
        SELECT DISTINCT ON (rule_type) *
        FROM rewards_rewardrule
        WHERE starts_on <= reference_date
        ORDER BY rule_type, starts_on DESC
    ) AS rule
    WHERE is_active
    GROUP BY 1
"""

# Checksum of a day: sum of hash(kind, host) * (EVENT_WEIGHT + seconds). EVENT_WEIGHT is larger than
# all seconds of 49,000 day-long calls, so that a changed number of events cannot be cancelled out
# by changed seconds. The hash is cut to 31 bits so that a product fits a bigint.
EVENT_WEIGHT = 2**32 - 5
_HASH = "(hashtextextended({kind}, user_id) >> 33)"

# Each day's counts, their checksum, and for each daily rule type the checksum of the hosts that
# have reached its threshold and were eligible. One scan of the table. The thresholds are joined as
# arrays: a join with the CTE could not be shared by parallel workers.
_DAYS = f"""
    SELECT date,
        count(*) AS counted,
        sum(logins + audio_calls + video_calls) AS events,
        bool_or(logins + audio_calls + video_calls = 0) AS is_empty,
        {EVENT_WEIGHT} * sum(login * logins + audio * audio_calls + video * video_calls)
            + coalesce(sum(audio * audio_seconds + video * video_seconds)
                FILTER (WHERE is_small), 0)
            + coalesce(sum(audio::numeric * audio_seconds + video::numeric * video_seconds)
                FILTER (WHERE NOT is_small), 0) AS checksum,
        {_columns("sum(weight) FILTER (WHERE {metric} >= {column}_threshold) AS {column}_hosts")}
    FROM (
        SELECT activity.*, of_day.*,
            {_HASH.format(kind="'login'")} AS login,
            {_HASH.format(kind="'audio_call'")} AS audio,
            {_HASH.format(kind="'video_call'")} AS video,
            greatest(audio_seconds, video_seconds) < {2**31}
                AND least(audio_seconds, video_seconds) >= 0 AS is_small,
            CASE WHEN last_eligible_day < date THEN NULL ELSE {HOST_WEIGHT} END AS weight
        FROM rewards_dailyactivity AS activity
        LEFT JOIN unnest(
            ARRAY(SELECT date FROM thresholds),
            {_columns("ARRAY(SELECT {column}_threshold FROM thresholds)")}
        ) AS of_day (day, {_columns("{column}_threshold")}) ON day = date
        LEFT JOIN {LAST_ELIGIBLE_DAYS} AS ending USING (user_id)
    ) AS host
    GROUP BY 1
"""

# The same checksum from the events, and the bounds of their times. One scan of the table.
_EVENT_CHECKSUMS = f"""
    SELECT business_date AS date, count(*) AS stored,
        sum({_HASH.format(kind="kind")} * CASE
            WHEN kind = 'login' THEN {EVENT_WEIGHT}
            WHEN duration_seconds >= %(min_call_seconds)s
            THEN {EVENT_WEIGHT} + duration_seconds ELSE 0 END) AS checksum,
        min(occurred_at) AS first, max(occurred_at) AS last,
        bool_or(occurred_at > received_at AND occurred_at > received_at + interval '5 min')
            AS is_early
    FROM rewards_activityevent
    GROUP BY 1
"""

_WINDOWS = """
    SELECT *
    FROM unnest(%(days)s::date[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
        AS day (date, starts_at, ends_at)
"""

# While these constraints are unchanged, no event has to be inspected for its duration and ids. The
# definition of one that is not validated ends in NOT VALID.
_CONSTRAINTS = """
    SELECT count(*) = 2 AS are_valid FROM pg_constraint
    WHERE conrelid = 'rewards_activityevent'::regclass
    AND pg_get_constraintdef(oid) IN (
        'CHECK (((duration_seconds >= 0) AND (duration_seconds <= 86400)))',
        'CHECK (((NOT ((event_id)::text = ''''::text)) AND (NOT ((source)::text = ''''::text))))')
"""

CTES = {
    "thresholds": _THRESHOLDS,
    "days": _DAYS,
    "event_checksums": _EVENT_CHECKSUMS,
    "windows": _WINDOWS,
    "event_constraints": _CONSTRAINTS,
    "days_to_inspect": """
        SELECT date FROM event_checksums LEFT JOIN windows USING (date)
        WHERE (first >= starts_at AND last < ends_at) IS NOT TRUE OR is_early
        OR NOT (SELECT are_valid FROM event_constraints)
    """,
    "mismatching_days": """
        SELECT date FROM event_checksums FULL JOIN days USING (date)
        WHERE coalesce(event_checksums.checksum, 0) <> coalesce(days.checksum, 0) OR is_empty
    """,
}

_NOUNS = {
    "logins": "login",
    "audio_calls": "audio call",
    "video_calls": "video call",
    "audio_seconds": "audio second",
    "video_seconds": "video second",
}


def _describe_counts(row: Row) -> str:
    differences = [
        f"counted {count(counted, noun)}, {stored:,} in events"
        for column, noun in _NOUNS.items()
        if (counted := row[column] or 0) != (stored := row[f"event_{column}"] or 0)
    ]
    return (
        f"host {row['host']} on {row['date']}: "
        f"{'; '.join(differences) or 'stored as an active day without any activity'}"
    )


INVARIANTS = [
    Invariant(
        "I16",
        "events lie on their business day, and do not arrive before they occur",
        "SELECT coalesce(sum(stored), 0) FROM event_checksums",
        """SELECT source, event_id, kind, duration_seconds, business_date, occurred_at, received_at
        FROM rewards_activityevent
        JOIN days_to_inspect ON date = business_date LEFT JOIN windows USING (date)
        WHERE (occurred_at >= starts_at AND occurred_at < ends_at) IS NOT TRUE
        OR occurred_at > received_at + interval '5 min'
        OR duration_seconds NOT BETWEEN 0 AND 86400 OR event_id = '' OR source = ''""",
        "event {source}:{event_id} of {business_date}: {kind} of {duration_seconds} s, occurred at "
        "{occurred_at}, received at {received_at}".format_map,
    ),
    Invariant(
        "D1",
        "daily activity equals the counts of its events",
        "SELECT coalesce(sum(counted), 0) FROM days",
        """SELECT user_id, date, counted.logins, counted.audio_calls, counted.video_calls,
            counted.audio_seconds, counted.video_seconds,
            events.logins AS event_logins, events.audio_calls AS event_audio_calls,
            events.video_calls AS event_video_calls, events.audio_seconds AS event_audio_seconds,
            events.video_seconds AS event_video_seconds
        FROM (
            SELECT user_id, business_date AS date,
                count(*) FILTER (WHERE kind = 'login') AS logins,
                count(*) FILTER (WHERE kind = 'audio_call') AS audio_calls,
                count(*) FILTER (WHERE kind = 'video_call') AS video_calls,
                coalesce(sum(duration_seconds) FILTER (WHERE kind = 'audio_call'), 0)
                    AS audio_seconds,
                coalesce(sum(duration_seconds) FILTER (WHERE kind = 'video_call'), 0)
                    AS video_seconds
            FROM rewards_activityevent JOIN mismatching_days ON date = business_date
            WHERE kind = 'login' OR duration_seconds >= %(min_call_seconds)s
            GROUP BY 1, 2
        ) AS events FULL JOIN (
            SELECT * FROM rewards_dailyactivity JOIN mismatching_days USING (date)
        ) AS counted USING (user_id, date)
        WHERE (events.logins, events.audio_calls, events.video_calls, events.audio_seconds,
            events.video_seconds)
        IS DISTINCT FROM (counted.logins, counted.audio_calls, counted.video_calls,
            counted.audio_seconds, counted.video_seconds)""",
        _describe_counts,
    ),
]
