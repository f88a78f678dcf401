"""What the app shows a host of itself."""

import datetime as dt

from django.http import JsonResponse
from django.utils import timezone
from ninja import Field, Router, Schema

from rewards.api.authentication import ApiRequest, KeyWith
from rewards.api.paging import BusinessDay, refuse_other_parameters
from rewards.choices import RuleType, RunStatus
from rewards.reports.explain.explanation import Outcome, explain_host
from rewards.reports.progress import progress

router = Router(tags=["hosts"])


class LifetimeScore(Schema):
    points: int


class WeeklyScore(Schema):
    week: dt.date = Field(description="The Monday of the open week.")
    points: int


class DailyScore(Schema):
    date: dt.date = Field(description="Today, a business day.")
    points: int


class Scores(Schema):
    lifetime: LifetimeScore
    weekly: WeeklyScore
    daily: DailyScore


class RuleToday(Schema):
    rule_type: RuleType
    reference_date: dt.date = Field(description="Today, or the Monday of this week.")
    measured: int = Field(description="The count so far.")
    threshold: int
    points: int
    awarded: bool


class HostToday(Schema):
    user_id: str
    left_on: dt.date | None = Field(description="The last day on which the host can earn.")
    date: dt.date = Field(description="Today, a business day.")
    scores: Scores
    rules: list[RuleToday] = Field(description="Those that the host can earn today or this week.")
    active_days: list[dt.date] = Field(description="The active days of this week, in order.")
    streak: int = Field(description="Active days in a row up to today or yesterday, at most 366.")


class ExplainedVersion(Schema):
    starts_on: dt.date
    threshold: int
    points: int
    is_active: bool


class ExplainedAward(Schema):
    id: int
    points: int
    measured: int
    threshold: int
    written_at: dt.datetime


class ExplainedRun(Schema):
    id: int
    attempt: int
    status: RunStatus


class ExplainedRule(Schema):
    rule_type: RuleType
    reference_date: dt.date
    outcome: Outcome
    sentence: str = Field(description="The reason for the outcome.")
    notes: list[str] = Field(description="Activity that was near, short or late.")
    measured: int
    version: ExplainedVersion | None = Field(description="The rule version in force.")
    award: ExplainedAward | None
    run: ExplainedRun | None = Field(description="The run of the award, or the latest one.")


class Explained(Schema):
    host: str
    date: dt.date
    active_days: list[dt.date] = Field(description="The active days of the week of the date.")
    rules: list[ExplainedRule]


# An id may contain a slash. The longer addresses are tried first.
@router.get(
    "/{path:user_id}/explanation",
    auth=KeyWith("scores:read"),
    response=Explained,
    summary="Explain a day of a host",
)
def explanation(request: ApiRequest, user_id: str, date: BusinessDay) -> JsonResponse:
    """Why the host has, or has not, each award of a business day and of its week."""
    refuse_other_parameters(request, "date")
    found = explain_host(
        external_id=user_id, day=date, now=timezone.now(), scope=request.auth.scope
    )
    return JsonResponse(found.to_dict())


@router.get(
    "/{path:user_id}",
    auth=KeyWith("scores:read"),
    response=HostToday,
    summary="Show where a host stands today",
)
def host(request: ApiRequest, user_id: str) -> JsonResponse:
    """Scores, rules with their progress, active days of this week, and the streak.

    A score whose period is over reads 0.
    """
    refuse_other_parameters(request)
    found = progress(external_id=user_id, now=timezone.now(), scope=request.auth.scope)
    return JsonResponse(found.to_dict())
