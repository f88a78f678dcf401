"""How the explanation of a day of a host is shown."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from rewards.admin.formatting import (
    format_datetime,
    format_duration,
    format_rule_period,
    link,
)
from rewards.admin.hosts.page import explain_url
from rewards.choices import RULE_TYPE_SPECS, Cadence
from rewards.engine.business_days import FIRST_DAY, LAST_DAY, ONE_DAY
from rewards.models import DailyActivity, Host
from rewards.reports.explain.explanation import Explanation, Outcome, RuleExplanation, explain
from rewards.wording import count

COLOURS = {
    Outcome.AWARDED: "success",
    Outcome.NOT_ACTIVE: "default",
    Outcome.NO_VERSION: "default",
    Outcome.PAUSED: "default",
    Outcome.NOT_CLOSED: "info",
    Outcome.NOT_EARNED: "warning",
    Outcome.NOT_RUN: "info",
    Outcome.INTERRUPTED: "danger",
    Outcome.FAILED: "danger",
    Outcome.DUE: "info",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleCard:
    """One rule of an explanation."""

    title: str
    period: str
    outcome: str
    colour: str
    sentence: str
    share: int
    """How much of the threshold was reached, in percent, 100 at most."""
    notes: tuple[str, ...]
    details: list[Any]


def explained(host: Host, day: date, now: datetime) -> dict[str, Any]:
    """Return what the page of a host and a day shows."""
    assert host.external_id is not None  # noqa: S101 - a constraint: every host has one
    explanation = explain(external_id=host.external_id, day=day, now=now)
    return {
        "day": day,
        "cards": [_card(rule) for rule in explanation.rules],
        "did": _did(explanation.week[day]),
        "week": _week(host, explanation),
        "earlier": explain_url(host.pk, day - ONE_DAY) if day > FIRST_DAY else "",
        "later": explain_url(host.pk, day + ONE_DAY) if day < LAST_DAY else "",
    }


def _card(rule: RuleExplanation) -> RuleCard:
    threshold = rule.award.threshold if rule.award else rule.version and rule.version.threshold
    measured = rule.award.measured if rule.award else rule.measured
    return RuleCard(
        title=rule.rule_type.label,
        period=format_rule_period(rule.rule_type, rule.reference_date),
        outcome=rule.outcome,
        colour=COLOURS[rule.outcome],
        sentence=rule.sentence,
        share=min(100, 100 * measured // threshold) if threshold else 0,
        notes=rule.notes,
        details=_details(rule),
    )


def _details(rule: RuleExplanation) -> list[tuple[str, Any]]:
    """Return what the answer rests on, each with a link to it."""
    version, award, run = rule.version, rule.award, rule.run
    details: list[tuple[str, Any]] = []
    if version is not None:
        terms = f"{version.asks} for {version.points:,} points"
        text = f"{terms if version.is_active else 'paused'}, from {version.starts_on}"
        details.append(("Version in force", link(text, "rewards_rewardrule_change", version.pk)))
    if award is not None:
        text = f"{award.points:,} points, written at {format_datetime(award.created_at)}"
        details.append(("Ledger", link(text, "rewards_scorehistory_change", award.pk)))
    if run is not None:
        cadence = "weekly" if RULE_TYPE_SPECS[rule.rule_type].cadence == Cadence.WEEKLY else "daily"
        text = f"{cadence} run, attempt {run.attempt}, {run.get_status_display().lower()}"
        name = "Written by" if award is not None else "Latest run"
        details.append((name, link(text, "rewards_awardrun_change", run.pk)))
    return details


def _did(day: DailyActivity | None) -> str:
    """Return what the host did on the day, in a sentence."""
    if day is None:
        return "Nothing that counts on this day."
    calls = ", ".join(
        f"{count(number, f'{kind} call')} ({format_duration(seconds)})"
        for kind, number, seconds in (
            ("audio", day.audio_calls, day.audio_seconds),
            ("video", day.video_calls, day.video_seconds),
        )
        if number
    )
    logins = count(day.logins, "login")
    return f"{logins}{f' and completed calls: {calls}' if calls else ', no completed call'}."


def _week(host: Host, explanation: Explanation) -> list[dict[str, Any]]:
    return [
        {
            "name": f"{day:%a}",
            "label": f"{day:%A} {day}: {'active' if did else 'not active'}",
            "is_active": did is not None,
            "is_shown": day == explanation.day,
            "href": explain_url(host.pk, day),
        }
        for day, did in explanation.week.items()
    ]
