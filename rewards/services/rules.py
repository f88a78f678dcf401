"""Writing rule versions: what a rule asks and pays from a day on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import IntegrityError, connection, transaction

from rewards.choices import RULE_TYPE_SPECS, Cadence, RuleType, RunStatus
from rewards.exceptions import InvalidStartDate, RuleChanged, RuleRefused
from rewards.models import AwardRun, RewardRule, ScoreHistory, User
from rewards.selectors.rules import latest_version, version_token


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleReport:
    """The version that stands now, and whether this call wrote it."""

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

    `today` is the business day at hand. A version begins after every other one of its type, and
    in the past only while no award of its type exists on or after that day; otherwise, and for
    numbers outside their limits, RuleRefused. `seen` is the mark that the rule bore when the
    change was thought out: RuleChanged when it bears another one by now. Asking for a version
    that exists changes nothing. A dry run refuses all the same and writes nothing.
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
    """Rewrite a version whose first day is still to come; it then is its last author's.

    Raises RuleRefused, and with `seen`, as in set_rule, RuleChanged. A dry run likewise, but it
    writes nothing.
    """
    with _rules_locked(RuleType(rule.rule_type), expected_token=expected_token):
        _require_pending(rule, today=today)
        rule.threshold = threshold
        rule.points = points
        rule.starts_on = starts_on
        rule.is_active = is_active
        rule.reason = reason
        rule.created_by = author
        _require_writable(rule, today=today)
        return _save(rule, is_dry_run=is_dry_run)


def withdraw(*, rule: RewardRule, today: date) -> None:
    """Delete a version whose first day is still to come. Raises RuleRefused."""
    with _rules_locked(RuleType(rule.rule_type)):
        _require_pending(rule, today=today)
        rule.delete()


@contextmanager
def _rules_locked(rule_type: RuleType, *, expected_token: str | None = None) -> Iterator[None]:
    """Let one editor at a time at the rules, so that each sees what the one before has written.

    A run that opens waits too: it pays by what is written here, or is seen to have begun.
    """
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


def _require_pending(rule: RewardRule, *, today: date) -> None:
    if rule.starts_on <= today:
        raise RuleRefused(
            f"The version of {rule.rule_type} from {rule.starts_on} is in force or past and is "
            "never changed; write the next version."
        )


def _require_writable(version: RewardRule, *, today: date) -> None:
    others = RewardRule.objects.filter(rule_type=version.rule_type).exclude(pk=version.pk)
    later = others.filter(starts_on__gte=version.starts_on).order_by("-starts_on").first()
    if later is not None:
        raise InvalidStartDate(
            f"A version of {version.rule_type} already begins on {later.starts_on}; "
            "the next one begins after it."
        )
    if version.starts_on > today:
        return
    first_day = version.starts_on
    # A week is paid by the version in force on its Sunday.
    first_monday = first_day - timedelta(days=6)
    cadence = RULE_TYPE_SPECS[RuleType(version.rule_type)].cadence
    first = first_monday if cadence == Cadence.WEEKLY else first_day
    run = AwardRun.objects.filter(
        cadence=cadence, reference_date__gte=first, status=RunStatus.RUNNING
    ).first()
    if run is not None:
        raise InvalidStartDate(
            f"The {run}, has begun and not ended, and keeps to the rules it began with; "
            f"a version may begin on {first_day} once it has ended."
        )
    award = (
        ScoreHistory.objects.filter(
            rule_type=version.rule_type,
            reference_date__gte=first,
        )
        .order_by("-reference_date")
        .first()
    )
    if award is not None:
        raise InvalidStartDate(
            f"{version.rule_type} has been awarded for {award.reference_date}; a version may "
            f"begin on {version.starts_on} only while nothing is awarded on or after that day."
        )


def _save(version: RewardRule, *, is_dry_run: bool) -> RewardRule:
    try:
        version.full_clean(validate_unique=True)
        if not is_dry_run:
            with transaction.atomic():
                version.save()
    except ValidationError as error:
        raise RuleRefused(_sentences(version, error)) from error
    except IntegrityError as error:
        raise RuleRefused(
            f"A version of {version.rule_type} beginning on {version.starts_on} was written by "
            "someone else at this moment; look at it and try again."
        ) from error
    return version


def _sentences(version: RewardRule, error: ValidationError) -> str:
    """Return what is wrong, with the value where it is that of one field."""
    return " ".join(
        message
        if field == NON_FIELD_ERRORS
        else f"{field} {getattr(version, field)!a:.80}: {message}"
        for field, messages in error.message_dict.items()
        for message in messages
    )
