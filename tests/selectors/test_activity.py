"""Activity of hosts: who was active, and what each did."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from rewards.engine.values import Facts
from rewards.models import DailyActivity
from rewards.selectors.activity import (
    IdRange,
    counted_events,
    event_time,
    events_across_time,
    events_by_day,
    has_more_active_hosts,
    id_ranges_of_active_hosts,
    users_by_facts,
)
from tests.factories import (
    A_MONDAY,
    ActivityEventFactory,
    DailyActivityFactory,
    HostFactory,
)

pytestmark = pytest.mark.django_db

ONE_DAY = timedelta(days=1)
WEEK = [A_MONDAY + offset * ONE_DAY for offset in range(7)]
ALL_HOSTS = IdRange(0, 2**62)


# --- Ranges of hosts --------------------------------------------------------------------------


def active(day=A_MONDAY, user=None, **kwargs):
    return DailyActivityFactory(date=day, user=user or HostFactory(), **kwargs).user


def test_no_activity_has_no_ranges():
    active(A_MONDAY - ONE_DAY)

    assert id_ranges_of_active_hosts(days=[A_MONDAY], size=2) == []


def test_ranges_follow_each_other_and_the_last_may_hold_fewer():
    hosts = [active().pk for _ in range(5)]
    for idle in (HostFactory(), active(A_MONDAY + ONE_DAY), active(A_MONDAY - ONE_DAY)):
        assert idle.pk > hosts[-1]

    assert id_ranges_of_active_hosts(days=[A_MONDAY], size=2) == [
        IdRange(0, hosts[1], 2),
        IdRange(hosts[1], hosts[3], 2),
        IdRange(hosts[3], hosts[4], 1),
    ]


def test_full_ranges_are_not_followed_by_an_empty_one():
    hosts = [active().pk for _ in range(2)]

    assert id_ranges_of_active_hosts(days=[A_MONDAY], size=2) == [IdRange(0, hosts[1], 2)]


def test_a_host_is_in_one_range_however_many_days_it_was_active():
    first, second, third = (HostFactory() for _ in range(3))
    for day in WEEK:
        active(day, first)
    active(WEEK[6], second)
    active(WEEK[0], third)
    active(WEEK[6] + ONE_DAY)

    assert id_ranges_of_active_hosts(days=WEEK, size=2) == [
        IdRange(0, second.pk, 2),
        IdRange(second.pk, third.pk, 1),
    ]


@pytest.mark.parametrize(("than", "has_more"), [(2, True), (3, False), (4, False)])
def test_more_active_hosts_than_a_number(than, has_more):
    host = active()
    active(A_MONDAY + ONE_DAY, host)
    active()
    active(A_MONDAY + 2 * ONE_DAY)

    assert has_more_active_hosts(days=[A_MONDAY, A_MONDAY + ONE_DAY], than=than) is has_more


# --- Facts ------------------------------------------------------------------------------------


def test_the_facts_of_a_day():
    host = active(logins=3, audio_calls=4, video_calls=5)
    active(A_MONDAY + ONE_DAY, host)

    assert users_by_facts(days=[A_MONDAY], id_range=ALL_HOSTS) == {Facts(3, 4, 5, 1): [host.pk]}


def test_the_facts_of_a_week_are_sums_and_active_days():
    host = HostFactory()
    for day in (A_MONDAY - ONE_DAY, WEEK[0], WEEK[6], WEEK[6] + ONE_DAY):
        active(day, host, logins=1, audio_calls=10, video_calls=100)

    assert users_by_facts(days=WEEK, id_range=ALL_HOSTS) == {Facts(2, 20, 200, 2): [host.pk]}


def test_hosts_with_the_same_facts_are_listed_together():
    hosts = [active(logins=2), active(logins=2), active(logins=3)]

    found = users_by_facts(days=[A_MONDAY], id_range=ALL_HOSTS)

    assert {facts: sorted(users) for facts, users in found.items()} == {
        Facts(logins=2, active_days=1): [hosts[0].pk, hosts[1].pk],
        Facts(logins=3, active_days=1): [hosts[2].pk],
    }


@pytest.mark.parametrize("days", [[A_MONDAY], WEEK])
@pytest.mark.parametrize("metric", Facts._fields)
def test_facts_that_are_not_asked_for_are_0(days, metric):
    """So that hosts that differ in nothing else are listed together."""
    host = active(logins=3, audio_calls=4, video_calls=5)
    expected = {"logins": 3, "audio_calls": 4, "video_calls": 5, "active_days": 1}

    found = users_by_facts(days=days, id_range=ALL_HOSTS, metrics={metric})

    assert found == {Facts(**{metric: expected[metric]}): [host.pk]}


def test_a_range_excludes_its_start_and_includes_its_end():
    first, second, third, _ = (active().pk for _ in range(4))

    found = users_by_facts(days=[A_MONDAY], id_range=IdRange(first, third))

    assert sorted(*found.values()) == [second, third]


@pytest.mark.parametrize("days", [[WEEK[6]], WEEK])
@pytest.mark.parametrize(
    ("host", "is_found"),
    [
        ({}, True),
        ({"left_on": WEEK[6]}, True),
        ({"left_on": WEEK[6] + ONE_DAY}, True),
        ({"left_on": WEEK[5]}, False),
        ({"is_host": False}, False),
        ({"is_host": False, "left_on": WEEK[6]}, False),
    ],
)
def test_only_hosts_eligible_on_the_last_day_have_facts(days, host, is_found):
    active(WEEK[6], HostFactory(**host))

    assert bool(users_by_facts(days=days, id_range=ALL_HOSTS)) is is_found


# --- Counts and events ------------------------------------------------------------------------


def test_counted_events_are_those_of_the_days():
    assert counted_events(days=WEEK) == 0
    for day in (A_MONDAY - ONE_DAY, WEEK[0], WEEK[6], WEEK[6] + ONE_DAY):
        active(day, logins=1, audio_calls=10, video_calls=100)

    assert counted_events(days=WEEK) == 222
    assert events_by_day() == dict.fromkeys(
        [A_MONDAY - ONE_DAY, WEEK[0], WEEK[6], WEEK[6] + ONE_DAY], 111
    )


def test_the_total_of_a_day_follows_every_change_of_its_activity():
    first = DailyActivityFactory(logins=2, audio_calls=3, video_calls=4)
    DailyActivityFactory(logins=1)
    assert counted_events(days=[A_MONDAY]) == 10

    DailyActivity.objects.filter(pk=first.pk).update(logins=5)
    assert counted_events(days=[A_MONDAY]) == 13

    DailyActivity.objects.filter(pk=first.pk).update(date=A_MONDAY + 7 * ONE_DAY)
    assert events_by_day() == {A_MONDAY: 1, A_MONDAY + 7 * ONE_DAY: 12}

    first.delete()
    assert events_by_day() == {A_MONDAY: 1}


def test_an_event_is_known_by_source_and_id():
    event = ActivityEventFactory(source="app", event_id="1")
    ActivityEventFactory(source="app", event_id="2", occurred_at=datetime(2026, 1, 1, tzinfo=UTC))
    ActivityEventFactory(source="web", event_id="1", occurred_at=datetime(2026, 1, 2, tzinfo=UTC))

    assert event_time(source="app", event_id="1") == event.occurred_at
    assert event_time(source="web", event_id="2") is None


def store_events(number):
    """Store events an hour apart, and return (occurred_at, business date) of each."""
    user = HostFactory()
    start = datetime(2026, 11, 16, tzinfo=UTC)
    events = [
        ActivityEventFactory(user=user, occurred_at=start + timedelta(hours=n))
        for n in range(number)
    ]
    return [(event.occurred_at, event.business_date) for event in events]


@pytest.mark.parametrize("number", [0, 1, 2, 10])
def test_few_events_are_all_in_the_sample(number):
    stored = store_events(number)

    assert sorted(events_across_time(number=10)) == stored


@pytest.mark.parametrize(("stored", "step"), [(19, 2), (100, 10)])
def test_a_sample_of_events_is_evenly_from_all_stored(stored, step):
    events = store_events(stored)

    assert sorted(events_across_time(number=10)) == events[::step]


def test_gaps_between_ids_are_no_gaps_of_the_sample():
    """Ids of events that were deleted or never stored."""
    first, *_, last = store_events(2)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE rewards_activityevent SET id = id + 1000000 WHERE occurred_at = %s", [last[0]]
        )

    assert sorted(events_across_time(number=10)) == [first, last]
