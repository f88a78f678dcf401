"""The cards of the rules: the version in force, the next ones, the history."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from django.urls import reverse

from rewards.admin.formatting import format_datetime
from rewards.choices import RuleType
from rewards.engine.business_days import ONE_DAY
from rewards.models import RewardRule
from rewards.wording import count

STATE_COLOURS = {
    "in force": "success",
    "paused": "warning",
    "not begun": "info",
    "not set up": "default",
}
"""The states of a rule and of its versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionEntry:
    """A version in the history of its rule."""

    version: RewardRule
    text: str
    """What it pays, and for what."""
    days: str
    written: str
    """Its state, and when and by whom it was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleCard:
    """One rule type."""

    rule_type: RuleType
    state: str
    colour: str
    current: RewardRule | None
    """The version in force today, paused or not."""
    pays: str
    """What the version in force pays."""
    pending: list[VersionEntry]
    """Versions that have not begun, in order."""
    history: list[VersionEntry]
    """All versions, the latest first."""
    versions: str
    """The number of versions."""
    change_url: str


def rule_cards(today: date) -> list[RuleCard]:
    """Return a card for each rule type. One query."""
    versions: defaultdict[str, list[RewardRule]] = defaultdict(list)
    for version in RewardRule.objects.select_related("created_by").order_by("-starts_on"):
        versions[version.rule_type].append(version)
    return [_card(rule_type, versions[rule_type], today) for rule_type in RuleType]


def rule_card(rule_type: RuleType, today: date) -> RuleCard:
    versions = RewardRule.objects.filter(rule_type=rule_type).select_related("created_by")
    return _card(rule_type, list(versions.order_by("-starts_on")), today)


def pays(version: RewardRule) -> str:
    """Return the threshold and the points of a version."""
    return f"{version.asks} for {count(version.points, 'point')}"


def summary(version: RewardRule) -> str:
    """Return the parameters of a version in one line."""
    reason = f"; why: {version.reason}" if version.reason else ""
    state = "active" if version.is_active else "paused"
    return f"{pays(version)}, {state}, from {version.starts_on}{reason}"


def author(version: RewardRule) -> str:
    return str(version.created_by or "the command line")


def _card(rule_type: RuleType, versions: list[RewardRule], today: date) -> RuleCard:
    current = next((version for version in versions if version.starts_on <= today), None)
    state = _state(current, current, today) if current else "not set up"
    # A version ends on the day before the next one.
    ends = ["open", *(f"{later.starts_on - ONE_DAY}" for later, _ in pairwise(versions))]
    history = [
        VersionEntry(
            version=version,
            text=pays(version) if version.is_active else f"{pays(version)}, paused",
            days=f"{version.starts_on} – {end}",  # noqa: RUF001 - a range
            written=f"{_state(version, current, today)}; by {author(version)} at "
            f"{format_datetime(version.created_at)}",
        )
        for end, version in zip(ends, versions, strict=False)
    ]
    return RuleCard(
        rule_type=rule_type,
        state=state,
        colour=STATE_COLOURS[state],
        current=current,
        pays=f"for {count(current.points, 'point')}"
        if current and current.is_active
        else "paused: pays nothing",
        pending=[entry for entry in reversed(history) if entry.version.starts_on > today],
        history=history,
        versions=count(len(history), "version"),
        change_url=f"{reverse('admin:rewards_rewardrule_add')}?rule_type={rule_type}",
    )


def _state(version: RewardRule, current: RewardRule | None, today: date) -> str:
    if version.starts_on > today:
        return "not begun"
    if version != current:
        return "past"
    return "in force" if version.is_active else "paused"
