"""The only writer of rule versions."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import IntegrityError, connection, transaction

from rewards.choices import OPEN_STATUSES, RULE_TYPE_SPECS, Cadence, RuleType, RunKind
from rewards.exceptions import InvalidStartDate, RuleChanged, RuleRefused
from rewards.models import AwardRun, RewardRule, ScoreHistory, User
from rewards.selectors.rules import latest_version, version_token
from rewards.services.db_errors import is_sequence_behind


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleReport:
    """The version that begins on the day asked for, and whether this call wrote it."""

    version: RewardRule
    is_new: bool


def set_rule(
    *,
    rule_type: RuleType,
    threshold: int,
    points: int,
    starts_on: date,
    is_active: bool,
    today: date,
    reason: str = "",
    author: User | None = None,
    expected_token: str | None = None,
    is_dry_run: bool = False,
) -> RuleReport:
    """Write the next version of `rule_type`, in force from `starts_on` on.

    `today` is today's business day. A version begins after every other one of its type, and in
    the past only while no award of its type exists on or after that day (InvalidStartDate). Raises
    RuleRefused for values outside their limits. `expected_token` is the version token that the
    editor's page showed; RuleChanged if the rule has changed since (optimistic locking). Asking
    for a version that exists changes nothing. A dry run raises the same and writes nothing.
    """
    version = RewardRule(
        rule_type=rule_type,
        threshold=threshold,
        points=points,
        starts_on=starts_on,
        is_active=is_active,
        reason=reason,
        created_by=author,
    )
    with _rules_locked(rule_type, expected_token=expected_token):
        same_day = RewardRule.objects.filter(rule_type=rule_type, starts_on=starts_on).first()
        if same_day is not None and _params(same_day) == _params(version):
            return RuleReport(version=same_day, is_new=False)
        _require_writable(version, today=today)
        return RuleReport(version=_save(version, is_dry_run=is_dry_run), is_new=True)


def change_pending(
    *,
    rule: RewardRule,
    threshold: int,
    points: int,
    starts_on: date,
    is_active: bool,
    today: date,
    reason: str = "",
    author: User | None = None,
    expected_token: str | None = None,
    is_dry_run: bool = False,
) -> RewardRule:
    """Change a version that has not begun; `author` becomes its author. Raises as set_rule does."""
    with _rules_locked(RuleType(rule.rule_type), expected_token=expected_token):
        version = _pending_version(rule, today=today)
        version.threshold = threshold
        version.points = points
        version.starts_on = starts_on
        version.is_active = is_active
        version.reason = reason
        version.created_by = author
        _require_writable(version, today=today)
        return _save(version, is_dry_run=is_dry_run)


def withdraw(*, rule: RewardRule, today: date, expected_token: str | None = None) -> None:
    """Delete a version that has not begun. Raises RuleRefused, and RuleChanged as set_rule does."""
    with _rules_locked(RuleType(rule.rule_type), expected_token=expected_token):
        _pending_version(rule, today=today).delete()


@contextmanager
def _rules_locked(rule_type: RuleType, *, expected_token: str | None) -> Iterator[None]:
    """Let one editor at a time write rules. A run waits for the lock too before it opens."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE rewards_rewardrule IN SHARE ROW EXCLUSIVE MODE")
        if expected_token is not None and expected_token != version_token(
            latest_version(rule_type=rule_type)
        ):
            raise RuleChanged(f"{rule_type} has been changed since you opened it.")
        yield


def _params(version: RewardRule) -> tuple[int, int, bool]:
    return version.threshold, version.points, version.is_active


def _pending_version(rule: RewardRule, *, today: date) -> RewardRule:
    """Return `rule` as it is now, under the lock."""
    version = RewardRule.objects.filter(pk=rule.pk).first()
    if version is None:
        raise RuleChanged(f"The version of {rule.rule_type} has been withdrawn.")
    if version.starts_on <= today:
        raise RuleRefused(
            f"The version of {version.rule_type} from {version.starts_on} has begun and is never "
            "changed; write the next version."
        )
    _require_no_open_run(version)
    return version


def _require_writable(version: RewardRule, *, today: date) -> None:
    others = RewardRule.objects.filter(rule_type=version.rule_type).exclude(pk=version.pk)
    later = others.filter(starts_on__gte=version.starts_on).order_by("-starts_on").first()
    if later is not None:
        raise InvalidStartDate(
            f"A version of {version.rule_type} already begins on {later.starts_on}; "
            "the next one begins after it."
        )
    # Asked for a pending version too: the clock of another machine may be past midnight.
    _require_no_open_run(version)
    if version.starts_on > today:
        return
    award = (
        ScoreHistory.objects.filter(
            rule_type=version.rule_type, reference_date__gte=_first_reference_date(version)
        )
        .order_by("-reference_date")
        .first()
    )
    if award is not None:
        raise InvalidStartDate(
            f"{version.rule_type} has been awarded for {award.reference_date}; a version may "
            f"begin on {version.starts_on} only if nothing is awarded on or after that day."
        )


def _require_no_open_run(version: RewardRule) -> None:
    """Raise InvalidStartDate if an open run pays a period of the version.

    A live run pays by the rules that it began with, and the award run after it by those then in
    force: only a rule type that the live run pays cannot change below it.
    """
    cadence = RULE_TYPE_SPECS[RuleType(version.rule_type)].cadence
    runs = AwardRun.objects.filter(
        cadence=cadence,
        reference_date__gte=_first_reference_date(version),
        status__in=OPEN_STATUSES,
    )
    of_type = set(
        RewardRule.objects.filter(rule_type=version.rule_type).values_list("pk", flat=True)
    )
    for run in runs:
        if run.kind != RunKind.LIVE or of_type.intersection(run.rule_versions):
            name = f"The {run}" if run.kind == RunKind.LIVE else f"The {run},"
            raise InvalidStartDate(
                f"{name} is in progress with the rules it began with; a version may begin on "
                f"{version.starts_on} once it has ended."
            )


def _first_reference_date(version: RewardRule) -> date:
    """Return the first reference date whose awards the version decides."""
    cadence = RULE_TYPE_SPECS[RuleType(version.rule_type)].cadence
    # The version in force on its Sunday counts for a week.
    days_before = 6 if cadence == Cadence.WEEKLY else 0
    return version.starts_on - timedelta(days=days_before)


def _save(version: RewardRule, *, is_dry_run: bool) -> RewardRule:
    try:
        version.full_clean(validate_unique=True)
        if not is_dry_run:
            with transaction.atomic():
                version.save()
    except ValidationError as error:
        raise RuleRefused(_sentences(version, error)) from error
    except IntegrityError as error:
        if is_sequence_behind(error):
            raise
        raise RuleRefused(
            f"Another version of {version.rule_type} from {version.starts_on} was just written."
        ) from error
    return version


def _sentences(version: RewardRule, error: ValidationError) -> str:
    return " ".join(
        message
        if field == NON_FIELD_ERRORS
        else f"{field.capitalize()} {getattr(version, field)!a:.80}: {message}"
        for field, messages in error.message_dict.items()
        for message in messages
    )
