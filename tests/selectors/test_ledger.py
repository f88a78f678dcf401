"""What has been awarded: by host of a date, and as sums."""

from datetime import timedelta

import pytest

from rewards.choices import RuleType
from rewards.selectors.activity import IdRange
from rewards.selectors.ledger import RuleTotal, totals_by_rule, users_by_awarded_type
from tests.factories import A_MONDAY, AwardRunFactory, HostFactory, RewardRuleFactory
from tests.factories import ScoreHistoryFactory as AwardFactory

pytestmark = pytest.mark.django_db

ONE_DAY = timedelta(days=1)
LOGIN, AUDIO = RuleType.DAILY_LOGIN, RuleType.DAILY_AUDIO_CALL_TARGET


@pytest.fixture
def award():
    """Store an award; its rule and run are shared."""
    run = AwardRunFactory()
    rules = {rule_type: RewardRuleFactory(rule_type=rule_type) for rule_type in (LOGIN, AUDIO)}

    def store(user=None, rule_type=LOGIN, day=A_MONDAY, points=10):
        user = user or HostFactory()
        AwardFactory(user=user, rule=rules[rule_type], reference_date=day, points=points, run=run)
        return user

    return store


ALL_HOSTS = IdRange(0, 2**62)


def awarded(id_range=ALL_HOSTS, rule_types=(LOGIN, AUDIO)):
    return users_by_awarded_type(reference_date=A_MONDAY, rule_types=rule_types, id_range=id_range)


def test_awarded_hosts_by_rule_type(award):
    first, second = award(), award()
    award(second, AUDIO)

    assert awarded() == {LOGIN: {first.pk, second.pk}, AUDIO: {second.pk}}


def test_awarded_hosts_of_the_date_range_and_types_only(award):
    before, first, last, after = (award() for _ in range(4))
    award(first, day=A_MONDAY - ONE_DAY)
    award(first, AUDIO)
    award(day=A_MONDAY + ONE_DAY)

    assert awarded(IdRange(before.pk, last.pk), [LOGIN]) == {LOGIN: {first.pk, last.pk}}
    assert after.pk > last.pk


def test_nothing_awarded():
    assert awarded() == {}


def test_sums_of_each_rule_type(award):
    host = award()
    award(host, day=A_MONDAY + ONE_DAY, points=5)
    award(host, AUDIO, points=25)
    for offset in (-1, 2):
        award(host, day=A_MONDAY + offset * ONE_DAY)

    assert totals_by_rule(first=A_MONDAY, last=A_MONDAY + ONE_DAY) == [
        RuleTotal(AUDIO, 1, 25),
        RuleTotal(LOGIN, 2, 15),
    ]
