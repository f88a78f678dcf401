"""Awards against activity, rules and runs."""

from rewards.choices import Cadence
from rewards.engine.business_days import FIRST_DAY, FIRST_MONDAY
from rewards.reports.verify.invariants import HOST_WEIGHT, Invariant, Row, awards
from rewards.reports.verify.rule_types import DAILY_TYPES, IS_WEEKLY, measured
from rewards.selectors.eligibility import LAST_ELIGIBLE_DAYS

CHECKED_AWARDS = "SELECT coalesce(sum(entries), 0) FROM award_groups"

# Ledger rows that agree in all but the host, the entry and the count: a few rows for each run. One
# scan of the ledger.
_AWARD_GROUPS = f"""
    SELECT run_id, rule_id, rule_type, reference_date, points, threshold,
        count(*) AS entries, max(entry) AS last_entry, min(measured) AS min_measured,
        min(created_at) AS first_written, max(created_at) AS last_written,
        sum({HOST_WEIGHT}) AS hosts
    FROM rewards_scorehistory
    GROUP BY 1, 2, 3, 4, 5, 6
"""

_EVENTS_BY_PERIOD = """
    SELECT 'daily' AS cadence, date AS reference_date, date AS last_day, events FROM days
    UNION ALL
    SELECT 'weekly', monday, monday + 6, sum(events)
    FROM (SELECT date_trunc('week', date)::date AS monday, events FROM days) AS days
    GROUP BY monday
"""

# The rules in force for each period that a run has evaluated. A period is settled if a run by that
# rule version has seen all its events; otherwise activity or a rule came later, and an award may be
# missing until the next run.
_RULES_IN_FORCE = f"""
    SELECT cadence, reference_date, last_day, rule.rule_type, rule.threshold,
        bool_or(run.events_seen = events AND run.rule_versions @> to_jsonb(rule.id)) AS is_settled
    FROM rewards_awardrun AS run
    JOIN events_by_period USING (cadence, reference_date)
    CROSS JOIN LATERAL (
        SELECT DISTINCT ON (rule_type) *
        FROM rewards_rewardrule
        WHERE starts_on <= last_day AND ({IS_WEEKLY}) = (cadence = 'weekly')
        ORDER BY rule_type, starts_on DESC
    ) AS rule
    WHERE run.kind = 'award' AND run.status = 'done' AND rule.is_active
    GROUP BY 1, 2, 3, 4, 5
"""


def _eligible(earned: str) -> str:
    """Return SQL: those rows of `earned` whose host was eligible on the last day."""
    return f"""
        SELECT reference_date, rule_type, user_id FROM ({earned}) AS earned
        WHERE NOT EXISTS (
            SELECT FROM {LAST_ELIGIBLE_DAYS} AS ending
            WHERE ending.user_id = earned.user_id AND last_eligible_day < last_day
        )
    """


def _earned_of_weeks(rules: str) -> str:
    """Return SQL: the awards that hosts have earned under the weekly rules of `rules`.

    A hash join: the Monday of a day is computed without a function that cannot be hashed.
    """
    return f"""
        SELECT reference_date, rule_type, last_day, user_id
        FROM {rules} AS rules JOIN rewards_dailyactivity
            ON date - (extract(isodow FROM date)::integer - 1) = reference_date
        WHERE cadence = 'weekly'
        GROUP BY reference_date, rule_type, last_day, user_id, threshold
        HAVING {measured(Cadence.WEEKLY)} >= threshold
    """


def _earned_of_days(rules: str) -> str:
    """Return SQL: the awards that hosts have earned under the daily rules of `rules`."""
    return f"""
        SELECT reference_date, rule_type, last_day, user_id
        FROM {rules} AS rules JOIN rewards_dailyactivity ON date = reference_date
        WHERE cadence = 'daily' AND {measured(Cadence.DAILY)} >= threshold
    """


_HOSTS_BY_DAILY_TYPE = ", ".join(
    f"('{rule_type}', {rule_type.lower()}_hosts)" for rule_type in DAILY_TYPES
)

# Reference dates and rule types for which the hosts with an award and the hosts that have earned
# one differ, by their checksums, and those with an undo. Usually none, apart from periods that are
# not settled.
_MISMATCHING_PERIODS = f"""
    SELECT reference_date, rule_type
    FROM (
        SELECT date AS reference_date, types.*
        FROM days CROSS JOIN LATERAL (VALUES {_HOSTS_BY_DAILY_TYPE}) AS types (rule_type, hosts)
        WHERE hosts IS NOT NULL
        UNION ALL
        SELECT reference_date, rule_type, sum({HOST_WEIGHT})
        FROM ({_eligible(_earned_of_weeks("rules_in_force"))}) AS weeks
        GROUP BY 1, 2
    ) AS earned
    FULL JOIN (
        SELECT reference_date, rule_type, sum(sign(points) * hosts) AS hosts,
            max(last_entry) AS last_entry
        FROM award_groups WHERE rule_type <> 'ADJUSTMENT' GROUP BY 1, 2
    ) AS paid USING (reference_date, rule_type)
    WHERE earned.hosts IS DISTINCT FROM paid.hosts OR last_entry > 0
"""

_SETTLED = """(
    SELECT * FROM rules_in_force JOIN mismatching_periods USING (reference_date, rule_type)
    WHERE is_settled
)"""

# An award whose activity has a lower count than the award says. A day is joined by hash, since
# all its awards may have to be looked at; a week takes one index scan for each award.
_PHANTOMS = f"""
    SELECT reference_date, rule_type, user_id, measured, {measured(Cadence.DAILY)} AS found
    FROM mismatching_awards LEFT JOIN (
        SELECT date AS reference_date, user_id, logins, audio_calls, video_calls
        FROM rewards_dailyactivity
        WHERE date IN (SELECT reference_date FROM mismatching_periods)
    ) AS day USING (reference_date, user_id)
    WHERE points > 0 AND NOT {IS_WEEKLY}
    UNION ALL
    SELECT reference_date, rule_type, user_id, measured, (
        SELECT {measured(Cadence.WEEKLY)} FROM rewards_dailyactivity AS day
        WHERE day.user_id = mismatching_awards.user_id
        AND date = ANY(ARRAY(SELECT reference_date + n FROM generate_series(0, 6) AS n))
    )
    FROM mismatching_awards
    WHERE points > 0 AND {IS_WEEKLY}
"""

CTES = {
    "award_groups": _AWARD_GROUPS,
    "events_by_period": _EVENTS_BY_PERIOD,
    "rules_in_force": _RULES_IN_FORCE,
    "mismatching_periods": _MISMATCHING_PERIODS,
    "mismatching_awards": """
        SELECT reference_date, rule_type, user_id, entry, points, rule_id, measured
        FROM rewards_scorehistory JOIN mismatching_periods USING (reference_date, rule_type)
        WHERE reference_date = ANY(ARRAY(SELECT reference_date FROM mismatching_periods))
    """,
}


def _describe_mismatch(row: Row) -> str:
    award = f"{row['rule_type']} for {row['reference_date']}"
    if row["measured"] is None:
        return f"host {row['host']} has earned {award} and has no award"
    return (
        f"host {row['host']} has an award of {award} for a count of {row['measured']:,}, "
        f"its activity has {row['found'] or 0:,}"
    )


def _describe_entry(row: Row) -> str:
    award = f"{row['rule_type']} for {row['reference_date']}"
    if row["entry"] == row["former_entry"]:
        return f"host {row['host']} has entry {row['entry']} of {award} twice"
    return f"host {row['host']}: entry {row['entry']} of {award} does not follow the one before it"


INVARIANTS = [
    Invariant(
        "I1",
        "at most one award per host, rule type and reference date stands",
        CHECKED_AWARDS,
        """SELECT * FROM (
            SELECT reference_date, rule_type, user_id, entry, points, rule_id, measured,
                lag(entry) OVER entries AS former_entry,
                lag((rule_id, measured, -points)) OVER entries AS undone
            FROM mismatching_awards
            WINDOW entries AS (PARTITION BY reference_date, rule_type, user_id ORDER BY entry)
        ) AS entries
        WHERE entry <> coalesce(former_entry + 1, 0) OR (points > 0) <> (entry %% 2 = 0)
        OR (points < 0 AND (rule_id, measured, points) IS DISTINCT FROM undone)""",
        _describe_entry,
    ),
    Invariant(
        "I9",
        "each award matches its run and the rule version in force",
        CHECKED_AWARDS,
        """SELECT award_groups.* FROM award_groups
        LEFT JOIN rewards_awardrun AS run ON run.id = run_id
        LEFT JOIN rewards_rewardrule AS rule ON rule.id = rule_id
        CROSS JOIN LATERAL (
            SELECT award_groups.reference_date + CASE cadence WHEN 'weekly' THEN 6 ELSE 0 END AS day
        ) AS last
        WHERE award_groups.rule_type <> 'ADJUSTMENT' AND (run.id IS NULL OR NOT rule.is_active
        OR (rule.rule_type, rule.points, rule.threshold)
            IS DISTINCT FROM
            (award_groups.rule_type, abs(award_groups.points), award_groups.threshold)
        OR min_measured < rule.threshold OR rule.starts_on > last.day
        OR EXISTS (
            SELECT FROM rewards_rewardrule AS newer
            WHERE newer.rule_type = rule.rule_type
            AND newer.starts_on > rule.starts_on AND newer.starts_on <= last.day))""",
        lambda row: (
            f"{awards(row)} and rule version {row['rule_id']}: points {row['points']:,}, threshold "
            f"{row['threshold']:,}, lowest count {row['min_measured']:,}"
        ),
    ),
    Invariant(
        "I10",
        "a run pays each rule type by one version",
        CHECKED_AWARDS,
        """SELECT run_id, rule_type, count(DISTINCT rule_id) AS versions FROM award_groups
        WHERE points > 0 AND rule_type <> 'ADJUSTMENT'
        GROUP BY 1, 2 HAVING count(DISTINCT rule_id) > 1""",
        "run {run_id} has paid {rule_type} by {versions} rule versions".format_map,
    ),
    Invariant(
        "I11",
        "no award without its activity, and none missing where a run has seen all activity",
        CHECKED_AWARDS,
        f"""SELECT * FROM ({_PHANTOMS}) AS phantoms WHERE coalesce(found, 0) < measured
        UNION ALL
        SELECT earned.*, measured, NULL
        FROM ({_eligible(f"{_earned_of_days(_SETTLED)} UNION ALL {_earned_of_weeks(_SETTLED)}")})
            AS earned
        LEFT JOIN mismatching_awards USING (reference_date, rule_type, user_id)
        WHERE measured IS NULL""",
        _describe_mismatch,
    ),
    Invariant(
        "I15",
        "awards are for periods that have come, and for the period of their run",
        CHECKED_AWARDS,
        f"""SELECT award_groups.*, run.cadence, run.reference_date AS run_date
        FROM award_groups JOIN rewards_awardrun AS run ON run.id = run_id
        WHERE award_groups.reference_date > %(today)s
        OR award_groups.reference_date
            < CASE WHEN {IS_WEEKLY} THEN date '{FIRST_MONDAY}' ELSE date '{FIRST_DAY}' END
        OR award_groups.reference_date <> run.reference_date
        OR ({IS_WEEKLY}) <> (cadence = 'weekly')""",
        lambda row: f"{awards(row)}, the {row['cadence']} run of {row['run_date']}",
    ),
    Invariant(
        "I21",
        "a live run takes no award after its end",
        CHECKED_AWARDS,
        """SELECT award_groups.*, finished_at
        FROM award_groups JOIN rewards_awardrun AS run ON run.id = run_id
        WHERE kind = 'live' AND last_written > finished_at""",
        lambda row: f"{awards(row)}, written at {row['last_written']}, ended {row['finished_at']}",
    ),
    Invariant(
        "I23",
        "a live award is written on its business day, 5 minutes either way",
        CHECKED_AWARDS,
        """SELECT award_groups.*
        FROM award_groups JOIN rewards_awardrun AS run ON run.id = run_id
        LEFT JOIN windows ON date = award_groups.reference_date
        WHERE kind = 'live' AND (first_written >= starts_at - interval '5 min'
            AND last_written < ends_at + interval '5 min') IS NOT TRUE""",
        lambda row: f"{awards(row)}, written {row['first_written']} to {row['last_written']}",
    ),
]
