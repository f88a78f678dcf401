"""The rules as a person thinks of them: for each type what counts now, what comes, what was."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any

from django.urls import reverse

from rewards.admin.formatting import format_datetime
from rewards.admin.rules.form import writer
from rewards.choices import RuleType
from rewards.engine.business_days import ONE_DAY
from rewards.models import RewardRule

STATES = {
    "in force": "success",
    "paused": "warning",
    "not begun": "info",
    "not set up": "default",
}
"""What may be said of a rule, or of a version, and the colour it is said in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleCard:
    """One rule type."""

    rule_type: RuleType
    state: str
    colour: str
    current: RewardRule | None
    """The version that counts today, paused or not."""
    coming: list[RewardRule]
    """Versions to come, the next one first."""
    history: list[dict[str, Any]]
    """All versions, the latest first."""
    change_url: str


def rule_cards(today: date) -> list[RuleCard]:
    """Return a card for each rule type, from one query for all versions there are."""
    versions: defaultdict[str, list[RewardRule]] = defaultdict(list)
    for version in RewardRule.objects.select_related("created_by").order_by("-starts_on"):
        versions[version.rule_type].append(version)
    return [_card(rule_type, versions[rule_type], today) for rule_type in RuleType]


def rule_card(rule_type: RuleType, today: date) -> RuleCard:
    """Return the card of one rule type."""
    versions = RewardRule.objects.filter(rule_type=rule_type).select_related("created_by")
    return _card(rule_type, list(versions.order_by("-starts_on")), today)


def change_url(rule_type: RuleType) -> str:
    """Return where the next version of a rule is written."""
    return f"{reverse('admin:rewards_rewardrule_add')}?rule_type={rule_type}"


def _card(rule_type: RuleType, versions: list[RewardRule], today: date) -> RuleCard:
    begun = [version for version in versions if version.starts_on <= today]
    current = begun[0] if begun else None
    coming = [version for version in versions if version.starts_on > today][::-1]
    state = _state(current, current, today) if current else "not set up"
    return RuleCard(
        rule_type=rule_type,
        state=state,
        colour=STATES[state],
        current=current,
        coming=coming,
        history=[
            _entry(version, until, _state(version, current, today))
            for until, version in _with_ends(versions)
        ],
        change_url=change_url(rule_type),
    )


def _state(version: RewardRule, current: RewardRule | None, today: date) -> str:
    if version.starts_on > today:
        return "not begun"
    if version != current:
        return "past"
    return "in force" if version.is_active else "paused"


def _with_ends(versions: list[RewardRule]) -> list[tuple[date | None, RewardRule]]:
    """Pair versions, latest first, with their last days; None for the one without a next."""
    ends = [later.starts_on - ONE_DAY for later, _ in pairwise(versions)]
    return list(zip([None, *ends], versions, strict=False))


def _entry(version: RewardRule, until: date | None, state: str) -> dict[str, Any]:
    pause = "" if version.is_active or state == "paused" else ", paused"
    return {
        "version": version,
        "days": f"{version.starts_on} – {until or 'open'}",  # noqa: RUF001 - a range
        "written": f"{state}{pause}; by {writer(version)} at {format_datetime(version.created_at)}",
    }
