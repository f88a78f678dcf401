from collections import Counter
from datetime import date, timedelta

from rewards.demo import Synthetic, synthetic_rows

MONDAY = date(2026, 11, 16)
SATURDAY = date(2026, 11, 21)


def calls_by_host(rows):
    calls = Counter()
    for row in rows:
        _, host, kind, *_ = row.split(",")
        calls[host] += kind != "login"
    return calls


def test_the_same_numbers_give_the_same_activity():
    assert list(synthetic_rows(hosts=50, day=MONDAY)) == list(synthetic_rows(hosts=50, day=MONDAY))


def test_another_seed_gives_other_activity():
    first, second = (list(synthetic_rows(hosts=50, day=MONDAY, seed=seed)) for seed in (1, 2))

    assert first != second


def test_another_week_differs_only_in_its_dates():
    activity = Synthetic(hosts=30, days=3)

    here, there = (
        [row.replace(str(day), "DAY") for row in activity.files(ends_on=day)[-1]]
        for day in (SATURDAY, SATURDAY + timedelta(weeks=5))
    )

    assert here == there


def test_event_ids_are_unique_over_all_days():
    rows = [row for lines in Synthetic(hosts=200, days=9).files(ends_on=SATURDAY) for row in lines]

    ids = Counter(row.split(",")[0] for row in rows)

    assert ids.pop("event_id") == 9
    assert set(ids.values()) == {1}


def test_the_first_event_is_known_in_advance():
    for hosts in (1, 2, 100):
        activity = Synthetic(hosts=hosts, days=7)
        _, first, *_ = activity.files(ends_on=SATURDAY)[0]

        assert first.startswith(f"{activity.first_event},host-1,login,2026-11-15T")


def test_few_hosts_take_most_calls_and_a_third_are_inactive():
    seen = calls_by_host(
        row
        for number in range(14)
        for row in synthetic_rows(hosts=3_000, day=MONDAY, number=number)
    )

    busiest = sum(calls for _, calls in seen.most_common(150))
    assert 0.30 < 1 - len(seen) / 3_000 < 0.40
    assert busiest > 0.3 * seen.total()


def test_saturdays_are_busier_than_mondays():
    monday, saturday = (
        len(calls_by_host(synthetic_rows(hosts=3_000, day=day))) for day in (MONDAY, SATURDAY)
    )

    assert saturday > 1.15 * monday
