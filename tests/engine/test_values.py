from dataclasses import FrozenInstanceError

import pytest

from rewards.choices import RuleType
from rewards.engine.values import AwardCounts, Facts, Rule


def test_a_rule_does_not_change_during_a_run():
    rule = Rule(version=1, rule_type=RuleType.DAILY_LOGIN, threshold=1, points=10)

    with pytest.raises(FrozenInstanceError):
        rule.points = 99

    assert hash(rule) == hash(
        Rule(version=1, rule_type=RuleType.DAILY_LOGIN, threshold=1, points=10)
    )


def test_values_are_made_by_name():
    with pytest.raises(TypeError):
        Rule(1, RuleType.DAILY_LOGIN, 1, 10)
    with pytest.raises(TypeError):
        AwardCounts(1, 1)


def test_a_host_without_activity_has_facts_of_0():
    assert Facts() == (0, 0, 0, 0)


def test_counts_begin_with_0():
    counts = AwardCounts()

    assert (counts.hosts_evaluated, counts.hosts_rewarded, counts.awards, counts.points) == (
        (0,) * 4
    )
    assert counts.by_rule == {}


def test_awards_are_counted_by_rule_type():
    counts = AwardCounts()

    counts.add_awards("LOGIN", 2, 20)
    counts.add_awards("AUDIO", 1, 25)
    counts.add_awards("LOGIN", 3, 30)

    assert (counts.awards, counts.points) == (6, 75)
    assert counts.by_rule == {
        "LOGIN": {"awards": 5, "points": 50},
        "AUDIO": {"awards": 1, "points": 25},
    }


def test_counts_of_batches_are_added_up():
    total = AwardCounts()
    for hosts in (3, 4):
        batch = AwardCounts(hosts_evaluated=hosts, hosts_rewarded=hosts - 1)
        batch.add_awards("LOGIN", 2, 20)
        total.add(batch)

    assert (total.hosts_evaluated, total.hosts_rewarded, total.awards, total.points) == (
        7,
        5,
        4,
        40,
    )
    assert total.by_rule == {"LOGIN": {"awards": 4, "points": 40}}
    assert batch.by_rule == {"LOGIN": {"awards": 2, "points": 20}}
