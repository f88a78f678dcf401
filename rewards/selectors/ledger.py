"""Awards in the ledger."""

from collections.abc import Collection
from datetime import date
from typing import NamedTuple

from django.db import connection
from django.db.models import Sum
from django.db.models.functions import Sign

from rewards.choices import RuleType
from rewards.engine.values import AwardCounts
from rewards.models import ScoreHistory
from rewards.selectors.activity import IdRange


def users_by_awarded_type(
    *, reference_date: date, rule_types: Collection[RuleType], id_range: IdRange
) -> dict[str, set[int]]:
    """Return rule type -> ids of the hosts of `id_range` with its award for the date."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT rule_type, array_agg(user_id) FROM rewards_scorehistory
            WHERE reference_date = %s AND user_id > %s AND user_id <= %s AND rule_type = ANY(%s)
            GROUP BY rule_type
            """,
            [reference_date, id_range.after_user, id_range.through_user, list(rule_types)],
        )
        return {rule_type: set(users) for rule_type, users in cursor.fetchall()}


def awarded_types_of_users(*, reference_date: date, users: Collection[int]) -> set[tuple[int, str]]:
    """Return (user id, rule type) of the awards that `users` have for the date."""
    rows = ScoreHistory.objects.filter(reference_date=reference_date, user_id__in=users)
    return set(rows.values_list("user_id", "rule_type"))


def counts_of_run(*, run: int, reference_date: date) -> AwardCounts:
    """Return what a run has written for `reference_date`, from its rows in the ledger."""
    rows = ScoreHistory.objects.filter(reference_date=reference_date, run=run)
    counts = AwardCounts(hosts_rewarded=rows.values("user").distinct().count())
    sums = rows.values("rule_type").annotate(number=Sum(Sign("points")), total=Sum("points"))
    for rule_type, number, total in sums.values_list("rule_type", "number", "total"):
        counts.add_awards(rule_type, int(number), total)
    return counts


class RuleTotal(NamedTuple):
    """The awards of one rule type."""

    rule_type: str
    awards: int
    points: int


def totals_by_rule(*, first: date, last: date) -> list[RuleTotal]:
    """Return the awards for reference dates in `first`..`last`, by rule type."""
    return [
        RuleTotal(rule_type, int(number), total)
        for rule_type, number, total in ScoreHistory.objects.in_days(first, last)
        .values("rule_type")
        .annotate(number=Sum(Sign("points")), total=Sum("points"))
        .order_by("rule_type")
        .values_list("rule_type", "number", "total")
    ]
