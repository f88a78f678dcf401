"""The context of the page that explains a day of a host."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from rewards.admin.formatting import format_datetime, format_duration, format_rule_period, link
from rewards.admin.hosts.page import explain_url
from rewards.admin.rules.cards import pays
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
class RuleExplanationCard:
    """One rule of an explanation, as the page shows it."""

    title: str
    period: str
    outcome: str
    colour: str
    sentence: str
    percent: int
    """Percent of the threshold, 100 at most."""
    notes: tuple[str, ...]
    details: list[tuple[str, Any]]
    """Names and links."""


def explanation_context(host: Host, day: date, now: datetime) -> dict[str, Any]:
    explanation = explain(external_id=str(host), day=day, now=now)
    return {
        "day": day,
        "cards": [_card(rule) for rule in explanation.rules],
        "activity": _activity(explanation.week[day]),
        "week": _week(host, explanation),
        "earlier": explain_url(host.pk, day - ONE_DAY) if day > FIRST_DAY else "",
        "later": explain_url(host.pk, day + ONE_DAY) if day < LAST_DAY else "",
    }


def _card(rule: RuleExplanation) -> RuleExplanationCard:
    measured, threshold = (rule.award and rule.award.evidence) or (
        rule.measured,
        rule.version and rule.version.threshold,
    )
    return RuleExplanationCard(
        title=rule.rule_type.label,
        period=format_rule_period(rule.rule_type, rule.reference_date),
        outcome=rule.outcome,
        colour=COLOURS[rule.outcome],
        sentence=rule.sentence,
        percent=min(100, 100 * measured // threshold) if threshold else 0,
        notes=rule.notes,
        details=_details(rule),
    )


def _details(rule: RuleExplanation) -> list[tuple[str, Any]]:
    version, award, run = rule.version, rule.award, rule.run
    details: list[tuple[str, Any]] = []
    if version is not None:
        text = f"{pays(version) if version.is_active else 'paused'}, from {version.starts_on}"
        details.append(("Version in force", link(text, "rewards_rewardrule_change", version.pk)))
    if award is not None:
        text = f"{count(award.points, 'point')}, written at {format_datetime(award.created_at)}"
        details.append(("Award", link(text, "rewards_scorehistory_change", award.pk)))
    if run is not None:
        text = f"{run}, {run.get_status_display().lower()}"
        name = "Written by" if award is not None else "Latest run"
        details.append((name, link(text, "rewards_awardrun_change", run.pk)))
    return details


def _activity(day: DailyActivity | None) -> str:
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
            "label": f"{day:%A} {day}: {'active' if activity else 'not active'}",
            "is_active": activity is not None,
            "is_shown": day == explanation.day,
            "href": explain_url(host.pk, day),
        }
        for day, activity in explanation.week.items()
    ]
