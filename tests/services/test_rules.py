"""When a rule version may be written, changed and withdrawn."""

from datetime import date

import pytest

from rewards.choices import Cadence, RuleType, RunStatus
from rewards.exceptions import InvalidStartDate, RuleChanged, RuleRefused
from rewards.models import RewardRule
from rewards.selectors.rules import latest_version, version_token
from rewards.services import rules
from tests.factories import (
    A_MONDAY,
    AwardRunFactory,
    RewardRuleFactory,
    ScoreHistoryFactory,
    StaffFactory,
)
from tests.processes import barrier, finish, start_with_fault, wait_until_held

pytestmark = pytest.mark.django_db

TODAY = date(2026, 11, 24)
TOMORROW = date(2026, 11, 25)
DECEMBER = date(2026, 12, 1)
LOGIN = RuleType.DAILY_LOGIN
WEEKLY = RuleType.WEEKLY_CONSISTENCY


def set_rule(**kwargs):
    values = {"threshold": 2, "points": 20, "starts_on": TOMORROW, "is_active": True}
    return rules.set_rule(**{"rule_type": LOGIN, "today": TODAY} | values | kwargs)


def change(rule, **kwargs):
    values = {"threshold": 3, "points": 30, "starts_on": TOMORROW, "is_active": True}
    return rules.change_pending(**{"rule": rule, "today": TODAY} | values | kwargs)


def token(rule_type=LOGIN):
    return version_token(latest_version(rule_type=rule_type))


# --- Authors and reasons


def test_a_version_has_an_author_and_a_reason():
    author = StaffFactory()

    set_rule(author=author, reason="Autumn offer")

    version = RewardRule.objects.get()
    assert (version.created_by, version.reason) == (author, "Autumn offer")


def test_a_change_makes_its_author_that_of_the_version():
    pending = RewardRuleFactory(starts_on=TOMORROW, reason="Autumn offer")
    author = StaffFactory()

    change(pending, author=author, reason="Winter offer")

    pending.refresh_from_db()
    assert (pending.created_by, pending.reason, pending.points) == (author, "Winter offer", 30)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"reason": "x" * 201}, "at most 200 characters"),
        ({"points": 0}, "^Points 0: Ensure this value is greater than or equal to 1.$"),
        ({"points": 1_000_001}, "^Points 1000001: Ensure this value is less than"),
        ({"threshold": 0}, "^Threshold 0: Ensure this value is greater than or equal to 1."),
        ({"threshold": 101}, "^The threshold is outside the limits of its rule type.$"),
    ],
)
def test_values_outside_their_limits_are_refused(values, message):
    with pytest.raises(RuleRefused, match=message):
        set_rule(**values)

    assert not RewardRule.objects.exists()


# --- The first day


@pytest.mark.parametrize("starts_on", [date(2026, 11, 9), date(2026, 11, 10)])
def test_a_version_begins_after_every_other_one(starts_on):
    RewardRuleFactory(starts_on=date(2026, 1, 1))
    RewardRuleFactory(starts_on=date(2026, 11, 10))

    with pytest.raises(InvalidStartDate, match="DAILY_LOGIN already begins on 2026-11-10"):
        set_rule(starts_on=starts_on)

    set_rule(starts_on=date(2026, 11, 11))


def test_versions_of_other_types_do_not_matter():
    RewardRuleFactory(rule_type=WEEKLY, starts_on=DECEMBER)

    assert set_rule().is_new


@pytest.mark.parametrize(
    ("rule_type", "awarded", "first_refused", "first_accepted"),
    [
        # A daily award counts for its own day.
        (LOGIN, A_MONDAY, A_MONDAY, date(2026, 11, 17)),
        (LOGIN, A_MONDAY, date(2026, 11, 10), date(2026, 11, 17)),
        # The version in force on the Sunday counts for a week.
        (WEEKLY, A_MONDAY, date(2026, 11, 22), date(2026, 11, 23)),
        (WEEKLY, A_MONDAY, A_MONDAY, date(2026, 11, 23)),
    ],
)
def test_a_version_never_begins_in_a_period_that_is_awarded(
    rule_type, awarded, first_refused, first_accepted
):
    old = RewardRuleFactory(rule_type=rule_type, starts_on=date(2026, 1, 1))
    ScoreHistoryFactory(rule=old, reference_date=awarded)

    with pytest.raises(InvalidStartDate, match=f"{rule_type} has been awarded for {awarded}"):
        set_rule(rule_type=rule_type, starts_on=first_refused)

    assert RewardRule.objects.count() == 1
    assert set_rule(rule_type=rule_type, starts_on=first_accepted).is_new


def test_awards_of_other_types_do_not_matter():
    ScoreHistoryFactory(rule=RewardRuleFactory(rule_type=RuleType.DAILY_AUDIO_CALL_TARGET))

    assert set_rule(starts_on=A_MONDAY).is_new


@pytest.mark.parametrize(
    ("rule_type", "cadence", "first_refused", "first_accepted"),
    [
        (LOGIN, Cadence.DAILY, A_MONDAY, date(2026, 11, 17)),
        (WEEKLY, Cadence.WEEKLY, date(2026, 11, 22), date(2026, 11, 23)),
    ],
)
def test_a_version_never_begins_in_a_period_that_is_being_run(
    rule_type, cadence, first_refused, first_accepted
):
    run = AwardRunFactory(cadence=cadence, status=RunStatus.RUNNING, finished_at=None)

    with pytest.raises(InvalidStartDate, match=f"The {run}, is in progress"):
        set_rule(rule_type=rule_type, starts_on=first_refused)

    assert set_rule(rule_type=rule_type, starts_on=first_accepted).is_new


@pytest.mark.parametrize(
    "run",
    [
        {"status": RunStatus.DONE},
        {"status": RunStatus.FAILED},
        {"status": RunStatus.RUNNING, "finished_at": None, "cadence": Cadence.WEEKLY},
    ],
)
def test_other_runs_do_not_matter(run):
    AwardRunFactory(**run)

    assert set_rule(starts_on=A_MONDAY).is_new


# --- The same version again


def test_the_same_version_again_is_not_written():
    first = set_rule(reason="Autumn offer")

    again = set_rule(reason="Another reason")

    assert (again.version, again.is_new) == (first.version, False)
    assert RewardRule.objects.get().reason == "Autumn offer"


@pytest.mark.parametrize("other", [{"is_active": False}, {"points": 21}, {"threshold": 3}])
def test_another_version_from_the_same_day_is_refused(other):
    set_rule()

    with pytest.raises(InvalidStartDate):
        set_rule(**other)

    assert RewardRule.objects.count() == 1


def test_the_same_values_from_another_day_are_a_new_version():
    set_rule()

    assert set_rule(starts_on=DECEMBER).is_new


# --- Versions that have begun


@pytest.mark.parametrize("starts_on", [TODAY, date(2026, 11, 23)])
def test_a_version_that_has_begun_is_never_changed(starts_on):
    begun = RewardRuleFactory(starts_on=starts_on)

    for attempt in (change, lambda rule: rules.withdraw(rule=rule, today=TODAY)):
        with pytest.raises(RuleRefused, match=f"from {starts_on} has begun and is never changed"):
            attempt(begun)

    begun.refresh_from_db()
    assert (begun.threshold, begun.points, begun.starts_on) == (1, 10, starts_on)


def test_a_version_is_pending_until_the_day_before_its_first_day():
    pending = RewardRuleFactory(starts_on=TOMORROW)

    change(pending)
    rules.withdraw(rule=pending, today=TODAY)

    assert not RewardRule.objects.exists()


def test_a_pending_version_is_not_moved_into_an_awarded_period():
    award = ScoreHistoryFactory(reference_date=A_MONDAY)
    pending = RewardRuleFactory(starts_on=TOMORROW)

    with pytest.raises(InvalidStartDate, match=f"awarded for {award.reference_date}"):
        change(pending, starts_on=A_MONDAY)

    pending.refresh_from_db()
    assert pending.starts_on == TOMORROW


# --- Dry runs


@pytest.mark.parametrize("write", ["set_rule", "change_pending"])
def test_a_dry_run_refuses_the_same_and_writes_nothing(write):
    pending = RewardRuleFactory(starts_on=TOMORROW)
    before = list(RewardRule.objects.values())

    def attempt(**kwargs):
        if write == "set_rule":
            set_rule(is_dry_run=True, **kwargs)
        else:
            change(pending, is_dry_run=True, **kwargs)

    attempt(starts_on=DECEMBER)
    with pytest.raises(RuleRefused, match="Points 0: Ensure"):
        attempt(starts_on=DECEMBER, points=0)

    assert list(RewardRule.objects.values()) == before


# --- Optimistic locking


def test_a_rule_changed_since_the_page_was_opened_is_refused():
    RewardRuleFactory(starts_on=date(2026, 1, 1))
    opened = token()
    set_rule(expected_token=opened)

    with pytest.raises(RuleChanged, match="DAILY_LOGIN has been changed since you opened it"):
        set_rule(expected_token=opened, starts_on=DECEMBER)

    assert RewardRule.objects.count() == 2
    set_rule(expected_token=token(), starts_on=DECEMBER)
    assert RewardRule.objects.count() == 3


@pytest.mark.parametrize(
    "field", [{"points": 31}, {"threshold": 4}, {"is_active": False}, {"reason": "Other"}]
)
def test_every_change_of_a_pending_version_is_noticed(field):
    pending = RewardRuleFactory(starts_on=TOMORROW)
    opened = token()
    RewardRule.objects.update(**field)

    with pytest.raises(RuleChanged):
        change(pending, expected_token=opened)
    with pytest.raises(RuleChanged):
        rules.withdraw(rule=pending, today=TODAY, expected_token=opened)


def test_a_withdrawal_is_noticed():
    pending = RewardRuleFactory(starts_on=TOMORROW)
    opened = token()
    rules.withdraw(rule=pending, today=TODAY)

    with pytest.raises(RuleChanged):
        set_rule(expected_token=opened)


def test_a_withdrawn_version_does_not_come_back():
    pending = RewardRuleFactory(starts_on=TOMORROW)
    stale = RewardRule.objects.get()
    rules.withdraw(rule=pending, today=TODAY)

    with pytest.raises(RuleChanged, match="has been withdrawn"):
        change(stale)

    assert not RewardRule.objects.exists()


def test_a_rule_that_did_not_exist_can_change_too():
    opened = token()
    set_rule()

    with pytest.raises(RuleChanged):
        set_rule(expected_token=opened, starts_on=DECEMBER)


@pytest.mark.django_db(transaction=True)
def test_of_two_editors_at_the_same_moment_one_is_refused():
    program = """
from datetime import date
from rewards.choices import RuleType
from rewards.services import rules
rules.set_rule(
    rule_type=RuleType.DAILY_LOGIN, threshold=1, points={day}, starts_on=date(2026, 12, {day}),
    is_active=True, today=date(2026, 11, 24), expected_token="",
)
"""

    with barrier() as release:
        editors = [
            start_with_fault("--hold-at", "LOCK TABLE", "shell", "-c", program.format(day=day))
            for day in (1, 2)
        ]
        wait_until_held(*editors)
        release()
        ends = [finish(editor) for editor in editors]

    assert sorted(code for code, _, _ in ends) == [0, 1]
    (refusal,) = [err for code, _, err in ends if code]
    assert "RuleChanged: DAILY_LOGIN has been changed since you opened it." in refusal
    assert RewardRule.objects.count() == 1
