"""How many hosts had which count of a metric."""

from datetime import timedelta

import pytest

from rewards.choices import Cadence
from rewards.exceptions import QueryTimedOut
from rewards.selectors import distribution as module
from rewards.selectors.distribution import (
    Bucket,
    FrequentHost,
    MatchingHosts,
    distribution,
    hosts_with_counts,
)
from tests.factories import A_MONDAY, DailyActivityFactory, HostFactory

pytestmark = pytest.mark.django_db

ONE_DAY = timedelta(days=1)
TUESDAY = A_MONDAY + ONE_DAY
SUNDAY = A_MONDAY + 6 * ONE_DAY
NEXT_MONDAY = A_MONDAY + 7 * ONE_DAY


def active(*days, user=None, **kwargs):
    user = user or HostFactory()
    for day in days:
        DailyActivityFactory(user=user, date=day, **kwargs)
    return user


def daily(metric="logins", first=A_MONDAY, last=TUESDAY):
    return distribution(cadence=Cadence.DAILY, metric=metric, first=first, last=last)


def weekly(metric="active_days", first=A_MONDAY, last=SUNDAY):
    return distribution(cadence=Cadence.WEEKLY, metric=metric, first=first, last=last)


def test_days_are_counted_by_metric_in_order():
    active(TUESDAY, logins=1)
    for logins in (2, 1, 2):
        active(A_MONDAY, logins=logins)
    active(A_MONDAY - ONE_DAY, TUESDAY + ONE_DAY)

    assert daily() == [
        Bucket(A_MONDAY, 1, 1),
        Bucket(A_MONDAY, 2, 2),
        Bucket(TUESDAY, 1, 1),
    ]


@pytest.mark.parametrize(
    ("metric", "of_a_day", "of_a_week"),
    [("logins", 2, 4), ("audio_calls", 3, 6), ("video_calls", 4, 8), ("active_days", 1, 2)],
)
def test_each_metric_has_its_column(metric, of_a_day, of_a_week):
    active(A_MONDAY, SUNDAY, logins=2, audio_calls=3, video_calls=4)

    assert daily(metric) == [Bucket(A_MONDAY, of_a_day, 1)]
    assert weekly(metric) == [Bucket(A_MONDAY, of_a_week, 1)]


def test_weeks_are_counted_one_by_one():
    host = active(A_MONDAY, SUNDAY, NEXT_MONDAY)
    active(A_MONDAY - ONE_DAY, TUESDAY, NEXT_MONDAY + 7 * ONE_DAY, user=host)
    active(A_MONDAY)

    assert weekly(last=SUNDAY + 7 * ONE_DAY) == [
        Bucket(A_MONDAY, 1, 1),
        Bucket(A_MONDAY, 3, 1),
        Bucket(NEXT_MONDAY, 1, 1),
    ]


@pytest.mark.parametrize(
    ("host", "is_counted"),
    [
        ({"left_on": SUNDAY}, True),
        ({"left_on": SUNDAY - ONE_DAY}, False),
        ({"is_host": False}, False),
    ],
)
def test_only_eligible_hosts_are_counted(host, is_counted):
    active(SUNDAY, user=HostFactory(**host))

    assert bool(daily(first=SUNDAY, last=SUNDAY)) is is_counted
    assert bool(weekly()) is is_counted


def test_a_host_is_counted_until_it_left():
    active(A_MONDAY, TUESDAY, user=HostFactory(left_on=A_MONDAY))

    assert daily() == [Bucket(A_MONDAY, 1, 1)]


def matching(counts, limit=9, **kwargs):
    days = {"cadence": Cadence.DAILY, "metric": "logins", "first": A_MONDAY, "last": TUESDAY}
    return hosts_with_counts(**days | kwargs, counts=counts, limit=limit)


def test_matching_hosts_are_ordered_by_how_often_they_matched():
    once, twice, again = (HostFactory() for _ in range(3))
    active(A_MONDAY, user=once, logins=3)
    active(TUESDAY, user=once, logins=9)
    for host in (again, twice):
        active(A_MONDAY, user=host, logins=3)
        active(TUESDAY, user=host, logins=4)

    def frequent(host, periods):
        return FrequentHost(host.pk, host.external_id, periods)

    assert matching([3, 4]) == MatchingHosts(
        hosts=3, most_often=(frequent(twice, 2), frequent(again, 2), frequent(once, 1))
    )
    assert matching([3, 4], limit=1) == MatchingHosts(hosts=3, most_often=(frequent(twice, 2),))
    assert matching([9]) == MatchingHosts(hosts=1, most_often=(frequent(once, 1),))


def test_no_host_matches():
    active(A_MONDAY, logins=3)

    assert matching([2]) == MatchingHosts(hosts=0, most_often=())


def test_matching_weeks():
    host = active(A_MONDAY, SUNDAY)

    found = matching([2], cadence=Cadence.WEEKLY, metric="active_days", last=SUNDAY)

    assert found.most_often == (FrequentHost(host.pk, host.external_id, 1),)


def test_a_distribution_that_takes_too_long_is_canceled(monkeypatch):
    monkeypatch.setattr(module, "PREVIEW_TIMEOUT_MS", 1)
    endless = "SELECT 1 AS period, 2 AS user_id, 3 AS measured FROM pg_sleep(30)"
    monkeypatch.setattr(module, "_ELIGIBLE", module.sql.SQL(endless))

    with pytest.raises(QueryTimedOut):
        daily()
