"""The scores: cached sums of the ledger, updated in the transactions that write it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from rewards.engine.periods import Period
from rewards.engine.values import Award
from rewards.services.db_errors import retry_on_conflict

MAX_EXAMPLES = 5

# The first award inserts the score with the latest evaluated day as its period, so that backfills
# may run in any order. Rows are locked in user order, as every writer does, to avoid deadlocks.
_ADD = """
    INSERT INTO rewards_score AS score
        (user_id, lifetime, daily, daily_date, weekly, week_start)
    SELECT
        award.user_id,
        award.points,
        CASE WHEN latest.day = %(day)s THEN award.points ELSE 0 END,
        latest.day,
        CASE WHEN latest.monday = %(monday)s THEN award.points ELSE 0 END,
        latest.monday
    FROM unnest(%(users)s::bigint[], %(points)s::bigint[]) AS award (user_id, points),
        (
            SELECT day, date_trunc('week', day)::date AS monday
            FROM (
                SELECT greatest(%(day)s::date, max(reference_date)) AS day FROM rewards_awardrun
            ) AS evaluated
        ) AS latest
    ON CONFLICT (user_id) DO UPDATE SET
        lifetime = score.lifetime + excluded.lifetime,
        daily = CASE
            WHEN score.daily_date = %(day)s THEN score.daily + excluded.lifetime
            WHEN score.daily_date < %(day)s THEN excluded.lifetime
            ELSE score.daily
        END,
        daily_date = greatest(score.daily_date, %(day)s),
        weekly = CASE
            WHEN score.week_start = %(monday)s THEN score.weekly + excluded.lifetime
            WHEN score.week_start < %(monday)s THEN excluded.lifetime
            ELSE score.weekly
        END,
        week_start = greatest(score.week_start, %(monday)s)
"""


def add_awards(*, period: Period, awards: Mapping[int, Sequence[Award]]) -> None:
    """Add awards just written to the ledger for `period` to the scores of their hosts.

    `awards` is user id -> awards, in order of user id. Call once, inside the transaction that
    wrote the ledger. A score of the same period gains the points, one of an older period is
    replaced, one of a newer period stays.
    """
    points = [sum([rule.points for rule, _ in earned]) for earned in awards.values()]
    with connection.cursor() as cursor:
        cursor.execute(
            _ADD,
            {
                "day": period.reference_date,
                "monday": period.monday,
                # Array literals: psycopg needs ten times as long to adapt lists.
                "users": f"{{{','.join(map(str, awards))}}}",
                "points": f"{{{','.join(map(str, points))}}}",
            },
        )


def roll_over(*, period: Period) -> None:
    """Move scores of earlier days to the reference date and its week, with 0 points there.

    Nothing is lost: the ledger has every award. Scores of newer periods stay, so that a second
    call, or a backfill of an old day, changes nothing. Call outside a transaction: each PIECE of
    the scores is moved in its own, so that a live award waits for a few of them only.
    """
    days = {"day": period.reference_date, "monday": period.monday}
    with connection.cursor() as cursor:
        cursor.execute(_LAST_OF_EACH_PIECE, days | {"size": PIECE})
        last_users = [user for (user,) in cursor]
    after = 0
    for through in last_users:
        _move(days | {"after": after, "through": through})
        after = through


PIECE = 2_000
"""Scores moved in one transaction."""

_IS_OLDER = "(daily_date < %(day)s OR week_start < %(monday)s)"

# One scan finds the pieces, so that nothing more is read when there is nothing to move.
_LAST_OF_EACH_PIECE = f"""
    SELECT max(user_id) FROM (
        SELECT user_id, (row_number() OVER (ORDER BY user_id) - 1) / %(size)s AS piece
        FROM rewards_score WHERE {_IS_OLDER}
    ) AS older
    GROUP BY piece ORDER BY piece
"""  # noqa: S608 - constants

# Rows are locked in user order, as every writer does, to avoid deadlocks.
_MOVE = f"""
    UPDATE rewards_score SET
        daily = CASE WHEN daily_date < %(day)s THEN 0 ELSE daily END,
        daily_date = greatest(daily_date, %(day)s),
        weekly = CASE WHEN week_start < %(monday)s THEN 0 ELSE weekly END,
        week_start = greatest(week_start, %(monday)s)
    WHERE user_id = ANY(ARRAY(
        SELECT user_id FROM rewards_score
        WHERE user_id > %(after)s AND user_id <= %(through)s AND {_IS_OLDER}
        ORDER BY user_id FOR NO KEY UPDATE
    ))
"""  # noqa: S608 - constants


@retry_on_conflict
def _move(params: dict[str, Any]) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        # A crash may undo this: the next run moves them. The commit that ends the run is durable.
        cursor.execute("SET LOCAL synchronous_commit TO off")
        cursor.execute(_MOVE, params)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairReport:
    """The scores that differed from the ledger; they were rebuilt unless it was a dry run."""

    scores: int
    examples: list[str]
    """The first few: the host, its lifetime points, and what the ledger says."""


# What each score must be: in the period that it has, or in the latest evaluated one if that is
# earlier.
_TRUE_SCORES = """
    SELECT user_id, coalesce(sum(points), 0) AS lifetime,
        coalesce(sum(points) FILTER (WHERE reference_date = day), 0) AS daily, day AS daily_date,
        coalesce(sum(points) FILTER (
            WHERE reference_date BETWEEN monday AND monday + 6), 0) AS weekly,
        monday AS week_start
    FROM (
        SELECT user_id, least(daily_date, latest.day) AS day,
            least(week_start, date_trunc('week', latest.day)::date) AS monday
        FROM (
            SELECT user_id FROM rewards_score UNION SELECT user_id FROM rewards_scorehistory
        ) AS hosts
        LEFT JOIN rewards_score USING (user_id)
        CROSS JOIN (SELECT max(reference_date) AS day FROM rewards_awardrun) AS latest
    ) AS periods
    LEFT JOIN rewards_scorehistory USING (user_id)
    GROUP BY user_id, day, monday
"""

_DIFFERING = f"""
    SELECT truth.*, external_id, score.lifetime AS had
    FROM ({_TRUE_SCORES}) AS truth
    JOIN rewards_user ON rewards_user.id = user_id
    LEFT JOIN rewards_score AS score USING (user_id)
    WHERE (score.lifetime, score.daily, score.daily_date, score.weekly, score.week_start)
        IS DISTINCT FROM
        (truth.lifetime, truth.daily, truth.daily_date, truth.weekly, truth.week_start)
"""  # noqa: S608 - constants

_LOOK = f"""
    WITH differing AS MATERIALIZED ({_DIFFERING})
    SELECT (SELECT count(*) FROM differing), ARRAY(
        SELECT format('%%s: lifetime %%s -> %%s, daily %%s, weekly %%s',
            external_id, coalesce(had::text, 'none'), lifetime, daily, weekly)
        FROM differing ORDER BY user_id LIMIT {MAX_EXAMPLES})
"""  # noqa: S608 - constants

_REBUILD = f"""
    INSERT INTO rewards_score AS score
        (user_id, lifetime, daily, daily_date, weekly, week_start)
    SELECT user_id, lifetime, daily, daily_date, weekly, week_start
    FROM ({_DIFFERING}) AS differing
    ON CONFLICT (user_id) DO UPDATE SET
        lifetime = excluded.lifetime,
        daily = excluded.daily, daily_date = excluded.daily_date,
        weekly = excluded.weekly, week_start = excluded.week_start
"""  # noqa: S608 - constants


@retry_on_conflict
def repair_scores(*, is_dry_run: bool = False) -> RepairReport:
    """Rebuild the scores that differ from the ledger, each in its period; touch nothing else.

    A second call finds nothing to do. Batches wait meanwhile, and are deferred to the next run if
    they wait too long; a dry run blocks nothing.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        if not is_dry_run:
            # In the order in which batches write them.
            cursor.execute(
                "LOCK TABLE rewards_scorehistory, rewards_score IN SHARE ROW EXCLUSIVE MODE"
            )
        cursor.execute(_LOOK, [])
        scores, examples = cursor.fetchone()
        if scores and not is_dry_run:
            cursor.execute(_REBUILD)
    return RepairReport(scores=scores, examples=examples)
