"""Every constraint: validation says why in a sentence, and the database refuses."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import NamedTuple

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, models, transaction

from rewards.choices import ADJUSTMENT, BatchStatus, Cadence, RuleType, RunKind, RunStatus
from rewards.models import ActivitySettings, ActivityTotal, AwardBatch
from tests.factories import (
    A_MONDAY,
    ActivityEventFactory,
    ApiClientFactory,
    ApiKeyFactory,
    AwardRunFactory,
    DailyActivityFactory,
    HostFactory,
    RewardRuleFactory,
    ScoreFactory,
    ScoreHistoryFactory,
    StaffFactory,
)

A_TUESDAY = date(2026, 11, 17)


class Violation(NamedTuple):
    """A constraint, a row that violates it alone, and the message of validation."""

    constraint: str
    row: Callable[[], models.Model]
    message: str


def user(**kwargs):
    return HostFactory.build(**kwargs)


def event(**kwargs):
    return ActivityEventFactory.build(user=HostFactory(), **kwargs)


def activity(**kwargs):
    return DailyActivityFactory.build(user=HostFactory(), **kwargs)


def score(**kwargs):
    return ScoreFactory.build(user=HostFactory(), **kwargs)


def batch(**kwargs):
    values = {"run": AwardRunFactory(), "after_user": 0, "through_user": 1, **kwargs}
    return AwardBatch(**values)


def key(**kwargs):
    return ApiKeyFactory.build(**{"client": ApiClientFactory(), **kwargs})


def award(**kwargs):
    parents = {"user": HostFactory, "rule": RewardRuleFactory, "run": AwardRunFactory}
    saved = {name: factory() for name, factory in parents.items() if name not in kwargs}
    return ScoreHistoryFactory.build(**saved, **kwargs)


def adjustment(**kwargs):
    """A row without evidence, as an adjustment is."""
    values = {"rule": None, "run": None, "measured": None, "threshold": None, "points": 5, **kwargs}
    return ScoreHistoryFactory.build(user=HostFactory(), rule_type=ADJUSTMENT, **values)


def rule_of_an_unknown_type():
    # The threshold of an unknown type has no limits, so this constraint is violated too.
    with connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE rewards_rewardrule "
            "DROP CONSTRAINT rewards_rewardrule_threshold_fits_its_type"
        )
    return RewardRuleFactory.build(rule_type="DAILY_SMILE")


def twin(factory, *fields, **kwargs):
    """Save a row, and return its values of `fields` for another one."""
    first = factory(**kwargs)
    return {field: getattr(first, field) for field in fields}


VIOLATIONS = [
    # User
    Violation(
        "rewards_user_host_has_external_id",
        lambda: user(external_id=None, username="nobody"),
        "A host needs an external id.",
    ),
    Violation(
        "rewards_user_external_id_is_visible_ascii",
        lambda: user(external_id="two words"),
        "Use 1 to 128 visible ASCII characters.",
    ),
    # ActivityEvent
    Violation(
        "rewards_activityevent_once_per_source",
        lambda: event(**twin(ActivityEventFactory, "source", "event_id")),
        "An event with this source and id is already stored.",
    ),
    Violation(
        "rewards_activityevent_kind_is_known",
        lambda: event(kind="logout"),
        "Value 'logout' is not a valid choice.",
    ),
    Violation(
        "rewards_activityevent_lasts_a_day_at_most",
        lambda: event(duration_seconds=86_401),
        "A duration is 0 to 86,400 seconds.",
    ),
    Violation(
        "rewards_activityevent_has_an_id",
        lambda: event(event_id=""),
        "This field cannot be blank.",
    ),
    # DailyActivity
    Violation(
        "rewards_dailyactivity_once_per_day",
        lambda: DailyActivityFactory.build(**twin(DailyActivityFactory, "user", "date")),
        "This host already has counts for this day.",
    ),
    Violation(
        "rewards_dailyactivity_is_an_active_day",
        lambda: activity(logins=0),
        "A row needs a login or a completed call.",
    ),
    Violation(
        "rewards_dailyactivity_seconds_have_calls",
        lambda: activity(audio_calls=1, audio_seconds=86_401),
        "The calls cannot have lasted this many seconds.",
    ),
    # RewardRule
    Violation(
        "rewards_rewardrule_one_version_a_day",
        lambda: RewardRuleFactory.build(**twin(RewardRuleFactory, "rule_type", "starts_on")),
        "A version of this rule already begins on this day.",
    ),
    Violation(
        "rewards_rewardrule_type_is_known",
        rule_of_an_unknown_type,
        "Value 'DAILY_SMILE' is not a valid choice.",
    ),
    Violation(
        "rewards_rewardrule_threshold_fits_its_type",
        lambda: RewardRuleFactory.build(rule_type=RuleType.WEEKLY_CONSISTENCY, threshold=8),
        "The threshold is outside the limits of its rule type.",
    ),
    Violation(
        "rewards_rewardrule_points_fit",
        lambda: RewardRuleFactory.build(points=0),
        "Ensure this value is greater than or equal to 1.",
    ),
    # AwardRun
    Violation(
        "rewards_awardrun_once_per_attempt",
        lambda: AwardRunFactory.build(
            **twin(AwardRunFactory, "reference_date", "cadence", "attempt")
        ),
        "This attempt already exists.",
    ),
    Violation(
        "rewards_awardrun_week_begins_on_monday",
        lambda: AwardRunFactory.build(cadence="weekly", reference_date=A_TUESDAY),
        "The reference date of a weekly run is a Monday.",
    ),
    Violation(
        "rewards_awardrun_live_is_attempt_0_of_a_day",
        lambda: AwardRunFactory.build(kind=RunKind.LIVE),
        "Attempt 0 of a day is its live run.",
    ),
    Violation(
        "rewards_awardrun_status_matches_its_kind",
        lambda: AwardRunFactory.build(status=RunStatus.LIVE, finished_at=None),
        "Only a live run is live, and it has no batches.",
    ),
    Violation(
        "rewards_awardrun_status_matches_its_end",
        lambda: AwardRunFactory.build(status=RunStatus.RUNNING),
        "A run has an end time unless it is open.",
    ),
    Violation(
        "rewards_awardrun_choices_are_known",
        lambda: AwardRunFactory.build(trigger="whim"),
        "Value 'whim' is not a valid choice.",
    ),
    # AwardBatch
    Violation(
        "rewards_awardbatch_once_per_id_range",
        lambda: batch(**twin(_saved_batch, "run", "after_user")),
        "This id range of the run already exists.",
    ),
    Violation(
        "rewards_awardbatch_id_range_is_not_empty",
        lambda: batch(after_user=5, through_user=5),
        "An id range ends after it begins.",
    ),
    Violation(
        "rewards_awardbatch_status_is_known",
        lambda: batch(status="lost", finished_at=datetime(2026, 11, 17, tzinfo=UTC)),
        "Value 'lost' is not a valid choice.",
    ),
    Violation(
        "rewards_awardbatch_status_matches_its_end",
        lambda: batch(status=BatchStatus.DONE),
        "A batch has an end time unless it is pending.",
    ),
    # ActivityTotal
    Violation(
        "rewards_activitytotal_once_per_slot",
        lambda: ActivityTotal(**twin(_saved_total, "date", "slot"), events=1),
        "This slot of the day already exists.",
    ),
    # ActivitySettings
    Violation(
        "rewards_activitysettings_is_one_row",
        lambda: ActivitySettings(id=2, min_call_seconds=1),
        "There is one row of settings.",
    ),
    # ScoreHistory
    Violation(
        "rewards_scorehistory_award_once",
        lambda: award(**twin(ScoreHistoryFactory, "user", "rule", "reference_date")),
        "This host already has this award.",
    ),
    Violation(
        "rewards_scorehistory_type_is_known",
        lambda: award(rule_type="DAILY_SMILE"),
        "Value 'DAILY_SMILE' is not a valid choice.",
    ),
    Violation(
        "rewards_scorehistory_points_fit",
        lambda: award(points=1_000_001),
        "Points are 1 to 1,000,000, or negative.",
    ),
    Violation(
        "rewards_scorehistory_entry_matches_its_sign",
        lambda: award(points=-10),
        "An even entry is an award, an odd one its undo.",
    ),
    Violation(
        "rewards_scorehistory_award_has_evidence",
        lambda: award(measured=None),
        "An award has a run, a rule version and its counts",
    ),
    Violation(
        "rewards_scorehistory_was_earned",
        lambda: award(measured=2, threshold=3),
        "The count is below the threshold.",
    ),
    Violation(
        "rewards_scorehistory_week_begins_on_monday",
        lambda: award(
            rule=RewardRuleFactory(rule_type=RuleType.WEEKLY_CONSISTENCY),
            reference_date=A_TUESDAY,
        ),
        "The reference date of a weekly award is a Monday.",
    ),
    # ApiClient
    Violation(
        "rewards_apiclient_one_per_source",
        lambda: ApiClientFactory.build(**twin(ApiClientFactory, "source")),
        "Another client has this source.",
    ),
    Violation(
        "rewards_apiclient_source_is_visible_ascii",
        lambda: ApiClientFactory.build(source="two words"),
        "Use 1 to 64 visible ASCII characters.",
    ),
    Violation(
        "rewards_apiclient_has_a_name",
        lambda: ApiClientFactory.build(name=""),
        "This field cannot be blank.",
    ),
    Violation(
        "rewards_apiclient_scopes_are_known",
        lambda: ApiClientFactory.build(scopes=["scores:read", "scores:write"]),
        "Value 'scores:write' is not a valid choice.",
    ),
    Violation(
        "rewards_apiclient_rate_fits",
        lambda: ApiClientFactory.build(requests_per_second=0),
        "Ensure this value is greater than or equal to 1.",
    ),
    # ApiKey
    Violation(
        "rewards_apikey_one_per_prefix",
        lambda: key(**twin(ApiKeyFactory, "prefix")),
        "Another key has this prefix.",
    ),
    Violation(
        "rewards_apikey_prefix_is_8_letters_or_digits",
        lambda: key(prefix="abcdefg_"),
        "A prefix is 8 of the letters a-z and the digits 2-7.",
    ),
    Violation(
        "rewards_apikey_digest_is_sha256",
        lambda: key(digest=b"x" * 31),
        "A digest has 32 bytes.",
    ),
    # Score
    Violation(
        "rewards_score_week_begins_on_monday",
        lambda: score(week_start=A_TUESDAY),
        "A week is named by its Monday.",
    ),
]

# Constraints with several conditions.
MORE_VIOLATIONS = [
    Violation("rewards_activityevent_has_an_id", lambda: event(source=""), "cannot be blank"),
    Violation(
        "rewards_dailyactivity_seconds_have_calls",
        lambda: activity(video_calls=1, video_seconds=86_401),
        "lasted this many seconds",
    ),
    Violation("rewards_user_external_id_is_visible_ascii", lambda: user(external_id="é"), "ASCII"),
    Violation(
        "rewards_user_external_id_is_visible_ascii", lambda: user(external_id="line\n"), "ASCII"
    ),
    Violation(
        "rewards_rewardrule_threshold_fits_its_type",
        lambda: RewardRuleFactory.build(threshold=0),
        "greater than or equal to 1",
    ),
    Violation(
        "rewards_rewardrule_threshold_fits_its_type",
        lambda: RewardRuleFactory.build(threshold=101),
        "outside the limits of its rule type",
    ),
    Violation(
        "rewards_rewardrule_points_fit",
        lambda: RewardRuleFactory.build(points=1_000_001),
        "less than or equal to 1000000",
    ),
    Violation(
        "rewards_scorehistory_points_fit",
        lambda: award(entry=1, points=-1_000_001),
        "Points are 1 to",
    ),
    Violation("rewards_scorehistory_points_fit", lambda: adjustment(points=0), "Points are 1 to"),
    Violation(
        "rewards_scorehistory_entry_matches_its_sign", lambda: award(entry=1), "An even entry"
    ),
    Violation(
        "rewards_scorehistory_entry_matches_its_sign", lambda: award(entry=-2), "An even entry"
    ),
    Violation(
        "rewards_scorehistory_entry_matches_its_sign", lambda: adjustment(entry=-1), "An even"
    ),
    *(
        Violation("rewards_scorehistory_award_has_evidence", row, "An award has a run")
        for row in (
            lambda: award(run=None),
            lambda: award(threshold=None, measured=3),
            lambda: award(rule=None, rule_type=RuleType.DAILY_LOGIN, points=1, threshold=1),
            lambda: adjustment(run=AwardRunFactory()),
            lambda: adjustment(rule=RewardRuleFactory()),
            lambda: adjustment(measured=1),
            lambda: adjustment(threshold=1),
        )
    ),
    Violation(
        "rewards_awardrun_live_is_attempt_0_of_a_day",
        lambda: AwardRunFactory.build(attempt=0),
        "Attempt 0 of a day is its live run.",
    ),
    Violation(
        "rewards_awardrun_live_is_attempt_0_of_a_day",
        lambda: AwardRunFactory.build(kind=RunKind.LIVE, attempt=0, cadence=Cadence.WEEKLY),
        "Attempt 0 of a day is its live run.",
    ),
    Violation(
        "rewards_awardrun_status_matches_its_kind",
        lambda: AwardRunFactory.build(kind=RunKind.LIVE, attempt=0, status=RunStatus.PARTIAL),
        "Only a live run is live",
    ),
    Violation("rewards_awardrun_choices_are_known", lambda: AwardRunFactory.build(kind="odd"), ""),
    Violation(
        "rewards_awardrun_status_matches_its_end",
        lambda: AwardRunFactory.build(status=RunStatus.HELD),
        "unless it is open",
    ),
    Violation(
        "rewards_scorehistory_was_earned",
        lambda: award(measured=0, threshold=0),
        "below the threshold",
    ),
    Violation(
        "rewards_awardrun_choices_are_known", lambda: AwardRunFactory.build(cadence="hourly"), ""
    ),
    Violation(
        "rewards_awardrun_choices_are_known", lambda: AwardRunFactory.build(status="odd"), ""
    ),
    Violation(
        "rewards_awardrun_status_matches_its_end",
        lambda: AwardRunFactory.build(finished_at=None),
        "This field cannot be blank.",
    ),
    Violation(
        "rewards_apiclient_source_is_visible_ascii",
        lambda: ApiClientFactory.build(source=""),
        "cannot be blank",
    ),
    Violation(
        "rewards_apiclient_scopes_are_known",
        lambda: ApiClientFactory.build(scopes=[]),
        "cannot be blank",
    ),
    Violation(
        "rewards_apiclient_rate_fits",
        lambda: ApiClientFactory.build(requests_per_second=10_001),
        "less than or equal to 10000",
    ),
    Violation(
        "rewards_apikey_prefix_is_8_letters_or_digits",
        lambda: key(prefix="abcdefg"),
        "A prefix is 8 of",
    ),
]


def _saved_batch():
    run = AwardRunFactory()
    return AwardBatch.objects.create(run=run, after_user=0, through_user=1)


def _saved_total():
    return ActivityTotal.objects.create(date=A_TUESDAY, slot=0, events=1)


def tables():
    return [model for model in apps.get_app_config("rewards").get_models() if not model._meta.proxy]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "violation", [*VIOLATIONS, *MORE_VIOLATIONS], ids=lambda violation: violation.constraint
)
def test_validation_refuses_an_invalid_row(violation):
    row = violation.row()

    with pytest.raises(ValidationError) as refusal:
        row.full_clean()

    assert any(violation.message in message for message in refusal.value.messages)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "violation", [*VIOLATIONS, *MORE_VIOLATIONS], ids=lambda violation: violation.constraint
)
def test_the_database_refuses_an_invalid_row(violation):
    row = violation.row()

    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        row.save(force_insert=True)

    assert refusal.value.__cause__.diag.constraint_name == violation.constraint


def test_every_constraint_has_a_violation_here():
    promised = {constraint.name for model in tables() for constraint in model._meta.constraints}

    assert {violation.constraint for violation in VIOLATIONS} == promised
    assert len(VIOLATIONS) == len(promised)


def test_constraints_and_indexes_are_named_for_their_table():
    for model in tables():
        for named in [*model._meta.constraints, *model._meta.indexes]:
            assert named.name.startswith(f"rewards_{model._meta.model_name}_"), named.name


def test_every_constraint_has_a_message():
    for model in tables():
        for constraint in model._meta.constraints:
            sentence = constraint.violation_error_message
            assert sentence != constraint.default_violation_error_message, constraint.name
            assert sentence.endswith("."), constraint.name


@pytest.mark.django_db
def test_a_valid_row_of_each_table_is_accepted():
    pending = RewardRuleFactory.build(starts_on=A_TUESDAY)
    rows = [user(), event(), activity(), pending, AwardRunFactory.build()]
    open_run = AwardRunFactory(status=RunStatus.RUNNING, finished_at=None)
    rows += [batch(), award(reference_date=A_TUESDAY, run=open_run), score()]
    rows += [ActivityTotal(date=A_TUESDAY, slot=99, events=1)]
    rows += [ActivitySettings(min_call_seconds=1)]
    rows += [ApiClientFactory.build(requests_per_second=10_000), key()]

    for row in rows:
        # The username of a host is not valid for staff, and the counts of a run may be empty.
        row.full_clean(exclude=["username", "by_rule"])
        row.save(force_insert=True)

    assert {type(row)._meta.concrete_model for row in rows} == set(tables())


# Without a threshold, the first call would earn the award.
@pytest.mark.django_db
@pytest.mark.parametrize("field", ["threshold", "points", "starts_on"])
def test_a_rule_has_no_empty_column(field):
    rule = RewardRuleFactory.build(**{field: None})

    with pytest.raises(ValidationError, match="cannot be null"):
        rule.full_clean()
    with pytest.raises(IntegrityError, match="null value"), transaction.atomic():
        rule.save()


@pytest.mark.django_db
def test_empty_external_ids_are_stored_as_null():
    first, second = StaffFactory.build(external_id=""), StaffFactory.build(external_id="")

    for member in (first, second):
        member.full_clean()
        member.save()

    assert (first.external_id, second.external_id) == (None, None)


@pytest.mark.django_db
def test_two_hosts_never_share_an_external_id():
    HostFactory(external_id="ana")
    other = user(external_id="ana", username="other")

    with pytest.raises(ValidationError, match="Another user has this external id"):
        other.full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        other.save()


@pytest.mark.django_db
def test_an_event_has_the_time_of_its_arrival():
    stored = event(occurred_at=datetime(2026, 11, 16, 12, tzinfo=UTC))
    stored.save()
    stored.refresh_from_db()

    assert stored.received_at.tzinfo is not None
    assert stored.business_date == A_MONDAY
