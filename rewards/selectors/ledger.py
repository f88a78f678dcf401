"""Awards in the ledger."""

from collections.abc import Collection
from datetime import date
from typing import NamedTuple

from django.db import connection
from django.db.models import Count, Sum

from rewards.choices import RuleType
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


class RuleTotal(NamedTuple):
    """The awards of one rule type."""

    rule_type: str
    awards: int
    points: int


def totals_by_rule(*, first: date, last: date) -> list[RuleTotal]:
    """Return the awards for reference dates in `first`..`last`, by rule type."""
    return [
        RuleTotal(*row)
        for row in ScoreHistory.objects.in_days(first, last)
        .values("rule_type")
        .annotate(number=Count("*"), total=Sum("points"))
        .order_by("rule_type")
        .values_list("rule_type", "number", "total")
    ]
