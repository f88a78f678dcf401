"""The scores: sums of the ledger, kept in step with it inside its own transactions."""

from collections.abc import Iterable, Mapping
from datetime import date

from django.db import connection

from rewards.calendar import monday_of

# A host's first award makes the row, in the period of the latest day judged, so that it does not
# matter in which order days are awarded. Rows are taken in the order given: by host, in which
# every writer locks them.
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
            ) AS judged
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


def add_awards(*, reference_date: date, points_by_user: Mapping[int, int]) -> None:
    """Add the points just written to the ledger for `reference_date` to their hosts' scores.

    `points_by_user` is in order of host. Call inside the transaction that wrote the ledger: a
    second call adds a second time. A period that is the same gains the points, an older one is
    replaced, a newer one is left alone.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _ADD,
            {
                "day": reference_date,
                "monday": monday_of(reference_date),
                "users": _array(points_by_user),
                "points": _array(points_by_user.values()),
            },
        )


def _array(numbers: Iterable[int]) -> str:
    """Return an array as PostgreSQL reads it: psycopg takes ten times as long over a list."""
    return f"{{{','.join(map(str, numbers))}}}"


def roll_over(*, reference_date: date) -> int:
    """Open `reference_date` and its week for every score of an older period; return how many.

    Loses nothing, since the ledger has it all. A second call changes nothing, and a backfill of
    an old day moves nobody back.
    """
    monday = monday_of(reference_date)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE rewards_score SET
                daily = CASE WHEN daily_date < %(day)s THEN 0 ELSE daily END,
                daily_date = greatest(daily_date, %(day)s),
                weekly = CASE WHEN week_start < %(monday)s THEN 0 ELSE weekly END,
                week_start = greatest(week_start, %(monday)s)
            WHERE daily_date < %(day)s OR week_start < %(monday)s
            """,
            {"day": reference_date, "monday": monday},
        )
        moved: int = cursor.rowcount
    return moved
