"""Who is eligible: the one definition, for SQL and for a loaded user.

A host is eligible on a day while `is_host` is set and `left_on` is empty or not before the day. A
week asks for its Sunday.
"""

from datetime import date

from rewards.models import User

LAST_ELIGIBLE_DAYS = """(
    SELECT id AS user_id,
        CASE WHEN is_host THEN left_on ELSE '-infinity'::date END AS last_eligible_day
    FROM rewards_user
    WHERE NOT is_host OR left_on IS NOT NULL
)"""
"""The users whose eligibility has an end, and their last day.

Everyone else is always eligible. These users are few, and have the index rewards_user_ineligible.
"""


def is_eligible(user: User, *, day: date) -> bool:
    return user.is_host and is_eligible_host(user.left_on, day=day)


def is_eligible_host(left_on: date | None, *, day: date) -> bool:
    """Return whether a host with this last day is eligible on `day`."""
    return left_on is None or day <= left_on
