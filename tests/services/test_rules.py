from datetime import date

import pytest

from rewards.choices import RuleType
from rewards.exceptions import RuleChanged, RuleRefused
from rewards.models import RewardRule
from rewards.selectors.rules import latest_version, version_token
from rewards.services import rules
from tests.factories import RewardRuleFactory, StaffFactory
from tests.processes import barrier, disturbed, finish, wait_until_held

pytestmark = pytest.mark.django_db

TODAY = date(2026, 11, 24)
TOMORROW = date(2026, 11, 25)
LOGIN = RuleType.DAILY_LOGIN


def set_rule(**kwargs):
    terms = {"threshold": 2, "points": 20, "starts_on": TOMORROW, "is_active": True}
    return rules.set_rule(**{"rule_type": LOGIN, "today": TODAY} | terms | kwargs)


def change(rule, **kwargs):
    terms = {"threshold": 3, "points": 30, "starts_on": TOMORROW, "is_active": True}
    return rules.change_pending(**{"rule": rule, "today": TODAY} | terms | kwargs)


def mark():
    return version_token(latest_version(rule_type=LOGIN))


def test_a_version_says_who_wrote_it_and_why():
    author = StaffFactory()

    set_rule(author=author, reason="Autumn offer")

    version = RewardRule.objects.get()
    assert (version.created_by, version.reason) == (author, "Autumn offer")


def test_a_pending_version_is_its_last_authors():
    pending = RewardRuleFactory(starts_on=TOMORROW, reason="Autumn offer")
    author = StaffFactory()

    change(pending, author=author, reason="Winter offer")

    pending.refresh_from_db()
    assert (pending.created_by, pending.reason, pending.points) == (author, "Winter offer", 30)


def test_a_reason_has_an_end():
    with pytest.raises(RuleRefused, match="at most 200 characters"):
        set_rule(reason="x" * 201)


@pytest.mark.parametrize("write", ["set_rule", "change_pending"])
def test_a_dry_run_refuses_what_writing_would_and_writes_nothing(write):
    pending = RewardRuleFactory(starts_on=TOMORROW)
    before = list(RewardRule.objects.values())

    def attempt(**kwargs):
        if write == "set_rule":
            set_rule(is_dry_run=True, **kwargs)
        else:
            change(pending, is_dry_run=True, **kwargs)

    attempt(starts_on=date(2026, 12, 1))
    with pytest.raises(RuleRefused, match="points 0: Ensure"):
        attempt(starts_on=date(2026, 12, 1), points=0)

    assert list(RewardRule.objects.values()) == before


def test_what_an_editor_saw_must_still_stand():
    RewardRuleFactory(starts_on=date(2026, 1, 1))
    seen = mark()
    set_rule(seen=seen)

    with pytest.raises(RuleChanged, match="DAILY_LOGIN has been changed since you opened it"):
        set_rule(seen=seen, starts_on=date(2026, 12, 1))

    assert RewardRule.objects.count() == 2
    set_rule(seen=mark(), starts_on=date(2026, 12, 1))
    assert RewardRule.objects.count() == 3


@pytest.mark.parametrize(
    "field", [{"points": 31}, {"threshold": 4}, {"is_active": False}, {"reason": "Other"}]
)
def test_any_change_of_a_pending_version_is_seen(field):
    pending = RewardRuleFactory(starts_on=TOMORROW)
    seen = mark()
    RewardRule.objects.update(**field)

    with pytest.raises(RuleChanged):
        change(pending, seen=seen)


def test_a_withdrawal_is_seen():
    pending = RewardRuleFactory(starts_on=TOMORROW)
    seen = mark()
    rules.withdraw(rule=pending, today=TODAY)

    with pytest.raises(RuleChanged):
        set_rule(seen=seen)


def test_a_rule_that_never_was_can_be_changed_meanwhile_too():
    seen = mark()
    set_rule()

    with pytest.raises(RuleChanged):
        set_rule(seen=seen, starts_on=date(2026, 12, 1))


@pytest.mark.django_db(transaction=True)
def test_of_two_editors_at_the_same_moment_one_writes_and_the_other_is_told():
    program = """
from datetime import date
from rewards.choices import RuleType
from rewards.services import rules
rules.set_rule(
    rule_type=RuleType.DAILY_LOGIN, threshold=1, points={day}, starts_on=date(2026, 12, {day}),
    is_active=True, today=date(2026, 11, 24), seen="",
)
"""

    with barrier() as release:
        editors = [
            disturbed("--hold-at", "LOCK TABLE", "shell", "-c", program.format(day=day))
            for day in (1, 2)
        ]
        wait_until_held(2)
        release()
        ends = [finish(editor) for editor in editors]

    assert sorted(code for code, _, _ in ends) == [0, 1]
    (told,) = [err for code, _, err in ends if code]
    assert "RuleChanged: DAILY_LOGIN has been changed since you opened it." in told
    assert RewardRule.objects.count() == 1
