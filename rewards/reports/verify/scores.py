"""Scores against the ledger."""

from rewards.reports.verify.awards import CHECKED_AWARDS
from rewards.reports.verify.invariants import HOST_WEIGHT, Invariant

_CHECKED_SCORES = "SELECT coalesce(sum(scores), 0) FROM score_checksums"

_POINTS_BY_DATE = """
    SELECT reference_date, sum(entries * points) AS points,
        sum(hosts::numeric * points) AS checksum
    FROM award_groups GROUP BY 1
"""

# Scores by their periods, usually one row. One scan of the table.
_SCORE_CHECKSUMS = f"""
    SELECT daily_date, week_start, count(*) AS scores,
        sum(lifetime) AS lifetime, sum({HOST_WEIGHT}::numeric * lifetime) AS lifetime_checksum,
        sum(daily) AS daily, sum({HOST_WEIGHT}::numeric * daily) AS daily_checksum,
        sum(weekly) AS weekly, sum({HOST_WEIGHT}::numeric * weekly) AS weekly_checksum
    FROM rewards_score
    GROUP BY 1, 2
"""

_LIFETIMES_DIFFER = """
    SELECT (SELECT (sum(lifetime), sum(lifetime_checksum)) FROM score_checksums)
        IS DISTINCT FROM (SELECT (sum(points), sum(checksum)) FROM points_by_date) AS differ
"""

# True also when a few scores are of an older period than the others: then all are compared one by
# one, and are found to be right.
_PERIODS_DIFFER = """
    SELECT EXISTS (
        SELECT FROM (
            SELECT daily_date, sum(daily) AS daily, sum(daily_checksum) AS checksum
            FROM score_checksums GROUP BY 1
        ) AS days LEFT JOIN points_by_date ON reference_date = daily_date
        WHERE (daily, days.checksum)
            IS DISTINCT FROM (coalesce(points, 0), coalesce(points_by_date.checksum, 0))
        UNION ALL
        SELECT FROM (
            SELECT week_start, sum(weekly) AS weekly, sum(weekly_checksum) AS checksum
            FROM score_checksums GROUP BY 1
        ) AS weeks CROSS JOIN LATERAL (
            SELECT coalesce(sum(points), 0) AS points, coalesce(sum(checksum), 0) AS checksum
            FROM points_by_date WHERE reference_date BETWEEN week_start AND week_start + 6
        ) AS paid
        WHERE (weekly, weeks.checksum) IS DISTINCT FROM (points, paid.checksum)
    ) AS differ
"""

CTES = {
    "points_by_date": _POINTS_BY_DATE,
    "score_checksums": _SCORE_CHECKSUMS,
    "lifetimes": _LIFETIMES_DIFFER,
    "periods": _PERIODS_DIFFER,
    "points_by_host": """
        SELECT user_id, sum(points) AS points FROM rewards_scorehistory
        WHERE (SELECT differ FROM lifetimes) GROUP BY 1
    """,
    "recent_points": """
        SELECT user_id, reference_date, sum(points) AS points FROM rewards_scorehistory
        WHERE (SELECT differ FROM periods) AND reference_date >= %(horizon)s GROUP BY 1, 2
    """,
}

INVARIANTS = [
    Invariant(
        "I19",
        "the sum of all scores equals the sum of the ledger",
        CHECKED_AWARDS,
        """SELECT * FROM (
            SELECT (SELECT coalesce(sum(lifetime), 0) FROM score_checksums) AS scores,
                (SELECT coalesce(sum(entries * points), 0) FROM award_groups) AS ledger
        ) AS sums WHERE scores <> ledger""",
        "all scores have {scores:,} points, the ledger {ledger:,}".format_map,
    ),
    Invariant(
        "I3",
        "each host's lifetime equals the sum of its awards",
        _CHECKED_SCORES,
        """SELECT user_id, coalesce(score.lifetime, 0) AS lifetime,
            coalesce(points_by_host.points, 0) AS ledger
        FROM (
            SELECT * FROM rewards_score WHERE (SELECT differ FROM lifetimes)
        ) AS score FULL JOIN points_by_host USING (user_id)
        WHERE score.lifetime IS DISTINCT FROM coalesce(points_by_host.points, 0)""",
        "host {host}: lifetime {lifetime:,} points, ledger {ledger:,}".format_map,
    ),
    Invariant(
        "I4",
        "each daily score equals the sum of the awards of its day",
        _CHECKED_SCORES,
        """SELECT rewards_score.user_id, daily_date, daily, coalesce(points, 0) AS ledger
        FROM rewards_score LEFT JOIN recent_points
            ON recent_points.user_id = rewards_score.user_id AND reference_date = daily_date
        WHERE (SELECT differ FROM periods) AND daily <> coalesce(points, 0)""",
        "host {host} on {daily_date}: daily {daily:,} points, ledger {ledger:,}".format_map,
    ),
    Invariant(
        "I5",
        "each weekly score equals the sum of the awards of its week",
        _CHECKED_SCORES,
        """SELECT * FROM (
            SELECT user_id, week_start, weekly, coalesce(sum(points) FILTER (
                WHERE reference_date BETWEEN week_start AND week_start + 6), 0) AS ledger
            FROM rewards_score LEFT JOIN recent_points USING (user_id)
            WHERE (SELECT differ FROM periods)
            GROUP BY 1, 2, 3
        ) AS weeks WHERE weekly <> ledger""",
        "host {host} in the week of {week_start}: weekly {weekly:,} points, ledger "
        "{ledger:,}".format_map,
    ),
    Invariant(
        "I6",
        "score periods are not in the future, and weeks start on a Monday",
        _CHECKED_SCORES,
        """SELECT user_id, daily_date, week_start FROM rewards_score
        WHERE daily_date > %(today)s OR week_start > %(today)s
        OR extract(isodow FROM week_start) <> 1""",
        "host {host}: daily score of {daily_date}, weekly score of {week_start}".format_map,
    ),
]
