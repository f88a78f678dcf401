"""The ledger and the scores against rules, runs and activity."""

from rewards.reports.verify.activity import DAILY_COLUMNS
from rewards.reports.verify.invariants import HOST_WEIGHT, Invariant
from rewards.selectors.eligibility import LAST_ELIGIBLE_DAYS

# How many rows an invariant was asked of.
_AWARDS = "SELECT coalesce(sum(awards), 0) FROM groups"
_SCORED = "SELECT coalesce(sum(scores), 0) FROM scores"
_RUNS = "SELECT count(*) FROM rewards_awardrun"

# Awards that agree in all but the host and what was measured: a row for each rule of each run.
_GROUPS = f"""
    SELECT run_id, rule_id, rule_type, reference_date, points, threshold,
        count(*) AS awards, min(measured) AS least, sum({HOST_WEIGHT}) AS hosts
    FROM rewards_scorehistory
    GROUP BY 1, 2, 3, 4, 5, 6
"""  # noqa: S608 - a constant

_EVENTS_BY_PERIOD = """
    SELECT 'daily' AS cadence, date AS reference_date, date AS evaluated, events FROM days
    UNION ALL
    SELECT 'weekly', monday, monday + 6, sum(events)
    FROM (SELECT date_trunc('week', date)::date AS monday, events FROM days) AS days
    GROUP BY monday
"""

# The rules in force for each period that a run has evaluated. A period is settled by a run that saw
# all its events: whatever arrived later, or was written into the rules later, is still to come.
_TERMS = """
    SELECT cadence, reference_date, evaluated, rule.rule_type, rule.threshold,
        bool_or(run.events_seen = events AND run.rule_versions @> to_jsonb(rule.id)) AS is_settled
    FROM rewards_awardrun AS run
    JOIN events_by_period USING (cadence, reference_date)
    CROSS JOIN LATERAL (
        SELECT DISTINCT ON (rule_type) *
        FROM rewards_rewardrule
        WHERE starts_on <= evaluated AND (rule_type = 'WEEKLY_CONSISTENCY') = (cadence = 'weekly')
        ORDER BY rule_type, starts_on DESC
    ) AS rule
    WHERE run.status = 'done' AND rule.is_active
    GROUP BY 1, 2, 3, 4, 5
"""

_WHENS = " ".join(f"WHEN '{kind}' THEN {column}" for kind, column in DAILY_COLUMNS.items())
_MEASURED = f"CASE {{type}} {_WHENS} END"

# The hosts who have earned an award of `terms`, whether they have it or not.
_DUE = f"""
    SELECT reference_date, rule_type, user_id
    FROM (
        SELECT reference_date, rule_type, evaluated, user_id
        FROM {{terms}} AS terms JOIN rewards_dailyactivity ON date = reference_date
        WHERE cadence = 'daily' AND {_MEASURED.format(type="rule_type")} >= threshold
        UNION ALL
        SELECT reference_date, rule_type, evaluated, user_id
        FROM {{terms}} AS terms JOIN rewards_dailyactivity
            ON date - (extract(isodow FROM date)::integer - 1) = reference_date
        WHERE cadence = 'weekly'
        GROUP BY reference_date, rule_type, evaluated, user_id, threshold
        HAVING count(*) >= threshold
    ) AS earned
    WHERE NOT EXISTS (
        SELECT FROM {LAST_ELIGIBLE_DAYS} AS ending
        WHERE ending.user_id = earned.user_id AND last_eligible_day < evaluated
    )
"""  # noqa: S608 - constants

_DUE_OF_WEEKS = _DUE.format(terms="(SELECT * FROM terms WHERE cadence = 'weekly')")
_DUE_AND_SETTLED = _DUE.format(
    terms="(SELECT * FROM terms JOIN suspects USING (reference_date, rule_type) WHERE is_settled)"
)
_KINDS = ", ".join(f"('{kind}', {column}_reached)" for kind, column in DAILY_COLUMNS.items())

# Where the hosts who have an award and those who have earned it are not the same, or nothing is
# settled yet, it takes a look at each row: few days, and none as a rule.
_SUSPECTS = f"""
    SELECT reference_date, rule_type
    FROM (
        SELECT date AS reference_date, kinds.*
        FROM days CROSS JOIN LATERAL (VALUES {_KINDS}) AS kinds (rule_type, hosts)
        WHERE hosts IS NOT NULL
        UNION ALL
        SELECT reference_date, rule_type, sum({HOST_WEIGHT})
        FROM ({_DUE_OF_WEEKS}) AS weeks
        GROUP BY 1, 2
    ) AS due
    FULL JOIN (
        SELECT reference_date, rule_type, sum(hosts) AS hosts FROM groups GROUP BY 1, 2
    ) AS paid USING (reference_date, rule_type)
    WHERE due.hosts IS DISTINCT FROM paid.hosts
"""  # noqa: S608 - constants

# The points of each reference date, and what a score's lifetime, day and week must come to.
_PAID = """
    SELECT reference_date, sum(awards * points) AS points, sum(hosts::numeric * points) AS hashed
    FROM groups GROUP BY 1
"""

_SCORES = f"""
    SELECT daily_date, week_start, count(*) AS scores, sum(lifetime) AS lifetime,
        sum({HOST_WEIGHT}::numeric * lifetime) AS lifetime_hashed,
        sum(daily) AS daily, sum({HOST_WEIGHT}::numeric * daily) AS daily_hashed,
        sum(weekly) AS weekly, sum({HOST_WEIGHT}::numeric * weekly) AS weekly_hashed
    FROM rewards_score
    GROUP BY 1, 2
"""  # noqa: S608 - a constant

_LIFETIMES_DIFFER = """
    SELECT (SELECT (sum(lifetime), sum(lifetime_hashed)) FROM scores)
        IS DISTINCT FROM (SELECT (sum(points), sum(hashed)) FROM paid) AS differ
"""

# Scores of an older period than others differ in the sum, and turn out to be right one by one.
_PERIODS_DIFFER = """
    SELECT EXISTS (
        SELECT FROM (
            SELECT daily_date, sum(daily) AS daily, sum(daily_hashed) AS hashed
            FROM scores GROUP BY 1
        ) AS days LEFT JOIN paid ON reference_date = daily_date
        WHERE (daily, days.hashed)
            IS DISTINCT FROM (coalesce(points, 0), coalesce(paid.hashed, 0))
        UNION ALL
        SELECT FROM (
            SELECT week_start, sum(weekly) AS weekly, sum(weekly_hashed) AS hashed
            FROM scores GROUP BY 1
        ) AS weeks CROSS JOIN LATERAL (
            SELECT coalesce(sum(points), 0) AS points, coalesce(sum(hashed), 0) AS hashed
            FROM paid WHERE reference_date BETWEEN week_start AND week_start + 6
        ) AS paid
        WHERE (weekly, weeks.hashed) IS DISTINCT FROM (points, paid.hashed)
    ) AS differ
"""

READINGS = {
    "groups": _GROUPS,
    "paid": _PAID,
    "scores": _SCORES,
    "lifetimes": _LIFETIMES_DIFFER,
    "lifetime": """
        SELECT user_id, sum(points) AS points FROM rewards_scorehistory
        WHERE (SELECT differ FROM lifetimes) GROUP BY 1
    """,
    "periods": _PERIODS_DIFFER,
    "lately": """
        SELECT user_id, reference_date, sum(points) AS points FROM rewards_scorehistory
        WHERE (SELECT differ FROM periods) AND reference_date >= %(horizon)s GROUP BY 1, 2
    """,
    "events_by_period": _EVENTS_BY_PERIOD,
    "terms": _TERMS,
    "suspects": _SUSPECTS,
    "suspected": """
        SELECT reference_date, rule_type, user_id, measured
        FROM rewards_scorehistory JOIN suspects USING (reference_date, rule_type)
        WHERE reference_date = ANY(ARRAY(SELECT reference_date FROM suspects))
    """,
}

INVARIANTS = [
    Invariant(
        "I1",
        "at most one award for a host, rule type and reference date",
        _AWARDS,
        """SELECT reference_date, rule_type, user_id, count(*) FROM suspected
        GROUP BY 1, 2, 3 HAVING count(*) > 1""",
    ),
    Invariant(
        "I9",
        "every award is explained by its run and by the rule version in force",
        _AWARDS,
        """SELECT groups.* FROM groups
        LEFT JOIN rewards_awardrun AS run ON run.id = run_id
        LEFT JOIN rewards_rewardrule AS rule ON rule.id = rule_id
        CROSS JOIN LATERAL (
            SELECT groups.reference_date + CASE cadence WHEN 'weekly' THEN 6 ELSE 0 END AS day
        ) AS evaluated
        WHERE run.id IS NULL OR rule.id IS NULL OR NOT rule.is_active
        OR (rule.rule_type, rule.points, rule.threshold)
            IS DISTINCT FROM (groups.rule_type, groups.points, groups.threshold)
        OR least < rule.threshold OR rule.starts_on > evaluated.day
        OR EXISTS (
            SELECT 1 FROM rewards_rewardrule AS newer
            WHERE newer.rule_type = rule.rule_type
            AND newer.starts_on > rule.starts_on AND newer.starts_on <= evaluated.day)""",
    ),
    Invariant(
        "I10",
        "a run pays one version of each rule",
        _AWARDS,
        """SELECT run_id, rule_type FROM groups
        GROUP BY 1, 2 HAVING count(DISTINCT rule_id) > 1""",
    ),
    Invariant(
        "I11",
        "no award without its activity, none missing where a run saw all activity",
        _AWARDS,
        f"""SELECT 'phantom', reference_date, rule_type, user_id
        FROM suspected LEFT JOIN (
            SELECT date AS reference_date, user_id, logins, audio_calls, video_calls
            FROM rewards_dailyactivity
            WHERE date IN (SELECT reference_date FROM suspects)
        ) AS day USING (reference_date, user_id)
        WHERE rule_type <> 'WEEKLY_CONSISTENCY'
        AND coalesce({_MEASURED.format(type="rule_type")}, 0) < measured
        UNION ALL
        SELECT 'phantom', reference_date, rule_type, user_id
        FROM suspected
        WHERE rule_type = 'WEEKLY_CONSISTENCY' AND measured > (
            SELECT count(*) FROM rewards_dailyactivity AS day
            WHERE day.user_id = suspected.user_id
            AND date = ANY(ARRAY(SELECT reference_date + n FROM generate_series(0, 6) AS n)))
        UNION ALL
        SELECT 'missed', due.*
        FROM ({_DUE_AND_SETTLED}) AS due
        LEFT JOIN suspected USING (reference_date, rule_type, user_id)
        WHERE measured IS NULL""",  # noqa: S608 - constants
    ),
    Invariant(
        "I12",
        "between the first and the last finished run no day or week with activity lacks one",
        "SELECT count(*) FROM events_by_period",
        """SELECT cadence, reference_date FROM events_by_period
        JOIN (
            SELECT cadence, min(reference_date) AS first, max(reference_date) AS last
            FROM rewards_awardrun WHERE status = 'done' GROUP BY 1
        ) AS done USING (cadence)
        WHERE reference_date BETWEEN first AND last AND NOT EXISTS (
            SELECT 1 FROM rewards_awardrun AS run
            WHERE run.cadence = events_by_period.cadence AND run.status = 'done'
            AND run.reference_date = events_by_period.reference_date)""",
    ),
    Invariant(
        "I13",
        "runs and their batches count exactly the rows they wrote",
        _RUNS,
        """SELECT run.id, run.awards, run.points, batches.awards, wrote.awards, wrote.points
        FROM rewards_awardrun AS run
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(awards), 0) AS awards, coalesce(sum(points), 0) AS points
            FROM rewards_awardbatch WHERE run_id = run.id
        ) AS batches
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(awards), 0) AS awards,
                coalesce(sum(awards * points), 0) AS points
            FROM groups WHERE run_id = run.id
        ) AS wrote
        WHERE (batches.awards, batches.points) <> (wrote.awards, wrote.points)
        OR (run.status <> 'running'
            AND (run.awards, run.points) <> (wrote.awards, wrote.points))""",
    ),
    Invariant(
        "I15",
        "awards are of periods that have come, and of their run's",
        _AWARDS,
        """SELECT groups.* FROM groups JOIN rewards_awardrun AS run ON run.id = run_id
        WHERE groups.reference_date > %(today)s OR groups.reference_date < date '2000-01-01'
        OR groups.reference_date <> run.reference_date
        OR (rule_type = 'WEEKLY_CONSISTENCY') <> (cadence = 'weekly')""",
    ),
    Invariant(
        "I19",
        "all scores together are all points of the ledger",
        _AWARDS,
        """SELECT * FROM (
            SELECT (SELECT coalesce(sum(lifetime), 0) FROM scores) AS scores,
                (SELECT coalesce(sum(awards * points), 0) FROM groups) AS ledger
        ) AS sums WHERE scores <> ledger""",
    ),
    Invariant(
        "I3",
        "lifetime is the sum of the ledger, for every host of either",
        _SCORED,
        """SELECT user_id, score.lifetime, lifetime.points
        FROM (
            SELECT * FROM rewards_score WHERE (SELECT differ FROM lifetimes)
        ) AS score FULL JOIN lifetime USING (user_id)
        WHERE score.lifetime IS DISTINCT FROM coalesce(lifetime.points, 0)""",
    ),
    Invariant(
        "I4",
        "daily is the sum of the ledger of its day",
        _SCORED,
        """SELECT rewards_score.user_id, daily_date, daily, coalesce(points, 0)
        FROM rewards_score LEFT JOIN lately
            ON lately.user_id = rewards_score.user_id AND reference_date = daily_date
        WHERE (SELECT differ FROM periods) AND daily <> coalesce(points, 0)""",
    ),
    Invariant(
        "I5",
        "weekly is the sum of the ledger of its week",
        _SCORED,
        """SELECT user_id, week_start, weekly, sum(points)
        FROM rewards_score LEFT JOIN lately USING (user_id)
        WHERE (SELECT differ FROM periods)
        GROUP BY user_id, week_start, weekly
        HAVING weekly <> coalesce(sum(points) FILTER (
            WHERE reference_date BETWEEN week_start AND week_start + 6), 0)""",
    ),
    Invariant(
        "I6",
        "the periods of scores are neither in the future nor odd",
        _SCORED,
        """SELECT user_id, daily_date, week_start FROM rewards_score
        WHERE daily_date > %(today)s OR week_start > %(today)s
        OR extract(isodow FROM week_start) <> 1""",
    ),
    Invariant(
        "I14",
        "a run ends after it begins, and weekly runs are of Mondays",
        _RUNS,
        """SELECT id FROM rewards_awardrun
        WHERE finished_at < started_at OR (status = 'running') <> (finished_at IS NULL)
        OR (cadence = 'weekly' AND extract(isodow FROM reference_date) <> 1)""",
    ),
]
