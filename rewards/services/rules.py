"""Writing rule versions: what a rule asks and pays from a day on."""

from dataclasses import dataclass
from datetime import date

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from rewards.choices import RuleType
from rewards.exceptions import RuleRefused
from rewards.models import RewardRule, ScoreHistory, User


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
    author: User | None = None,
) -> RuleReport:
    """Write the next version of `rule_type`, in force from `starts_on` on.

    `today` is the business day at hand. A version begins after every other one of its type, and
    in the past only while no award of its type exists on or after that day; otherwise, and for
    numbers outside their limits, RuleRefused. Asking for a version that exists changes nothing.
    """
    version = RewardRule(
        rule_type=rule_type,
        threshold=threshold,
        points=points,
        starts_on=starts_on,
        is_active=is_active,
        created_by=author,
    )
    same_day = RewardRule.objects.filter(rule_type=rule_type, starts_on=starts_on).first()
    if same_day is not None and _terms(same_day) == _terms(version):
        return RuleReport(version=same_day, is_new=False)
    _require_writable(version, today=today)
    return RuleReport(version=_save(version), is_new=True)


def change_pending(
    *,
    rule: RewardRule,
    threshold: int,
    points: int,
    starts_on: date,
    is_active: bool,
    today: date,
) -> RewardRule:
    """Rewrite a version whose first day is still to come. Raises RuleRefused."""
    _require_pending(rule, today=today)
    rule.threshold = threshold
    rule.points = points
    rule.starts_on = starts_on
    rule.is_active = is_active
    _require_writable(rule, today=today)
    return _save(rule)


def withdraw(*, rule: RewardRule, today: date) -> None:
    """Delete a version whose first day is still to come. Raises RuleRefused."""
    _require_pending(rule, today=today)
    rule.delete()


def _terms(version: RewardRule) -> tuple[int, int, bool]:
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
        raise RuleRefused(
            f"A version of {version.rule_type} already begins on {later.starts_on}; "
            "the next one begins after it."
        )
    if version.starts_on > today:
        return
    award = (
        ScoreHistory.objects.filter(
            rule_type=version.rule_type, reference_date__gte=version.starts_on
        )
        .order_by("-reference_date")
        .first()
    )
    if award is not None:
        raise RuleRefused(
            f"{version.rule_type} has been awarded for {award.reference_date}; a version may "
            f"begin on {version.starts_on} only while nothing is awarded on or after that day."
        )


def _save(version: RewardRule) -> RewardRule:
    try:
        version.full_clean(validate_unique=True)
        with transaction.atomic():
            version.save()
    except ValidationError as error:
        raise RuleRefused(" ".join(error.messages)) from error
    except IntegrityError as error:
        raise RuleRefused(
            f"A version of {version.rule_type} beginning on {version.starts_on} was written by "
            "someone else at this moment; look at it and try again."
        ) from error
    return version
