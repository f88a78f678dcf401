"""What has been awarded."""

from collections.abc import Collection
from datetime import date

from rewards.choices import RuleType
from rewards.models import ScoreHistory
from rewards.selectors.activity import Span


def awarded_keys(
    *, reference_date: date, rule_types: Collection[RuleType], span: Span
) -> set[tuple[int, str]]:
    """Return (host, rule type) of every award of `reference_date` within `span`."""
    return set(
        ScoreHistory.objects.filter(
            reference_date=reference_date,
            rule_type__in=rule_types,
            user_id__gt=span.after_user,
            user_id__lte=span.through_user,
        ).values_list("user_id", "rule_type")
    )
