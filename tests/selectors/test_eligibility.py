"""Eligibility: the same for a loaded user and in SQL."""

from datetime import timedelta

import pytest
from django.db import connection

from rewards.selectors.eligibility import LAST_ELIGIBLE_DAYS, is_eligible
from tests.factories import A_MONDAY, HostFactory

ONE_DAY = timedelta(days=1)

CASES = [
    # is_host, left_on, eligible on A_MONDAY
    (True, None, True),
    (True, A_MONDAY + ONE_DAY, True),
    (True, A_MONDAY, True),
    (True, A_MONDAY - ONE_DAY, False),
    (False, None, False),
    (False, A_MONDAY + ONE_DAY, False),
]


@pytest.mark.parametrize(("is_host", "left_on", "expected"), CASES)
def test_eligibility_of_a_loaded_user(is_host, left_on, expected):
    user = HostFactory.build(is_host=is_host, left_on=left_on)

    assert is_eligible(user, day=A_MONDAY) is expected


@pytest.mark.django_db
@pytest.mark.parametrize(("is_host", "left_on", "expected"), CASES)
def test_eligibility_in_sql(is_host, left_on, expected):
    user = HostFactory(is_host=is_host, left_on=left_on)

    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT user_id FROM {LAST_ELIGIBLE_DAYS} AS ending"  # noqa: S608 - a constant
            " WHERE last_eligible_day < %s",
            [A_MONDAY],
        )
        ineligible = [user_id for (user_id,) in cursor]

    assert ineligible == ([] if expected else [user.pk])


@pytest.mark.django_db
def test_only_users_whose_eligibility_ends_are_listed():
    """They are few, and are looked up for each host of a batch."""
    HostFactory()
    ending = [HostFactory(is_host=False), HostFactory(left_on=A_MONDAY)]

    with connection.cursor() as cursor:
        cursor.execute(f"SELECT user_id FROM {LAST_ELIGIBLE_DAYS} AS ending")  # noqa: S608
        assert {user_id for (user_id,) in cursor} == {user.pk for user in ending}
