"""What the app shows a host of itself."""

import datetime as dt

from django.http import JsonResponse
from django.utils import timezone
from ninja import Field, Router, Schema

from rewards.api.authentication import ApiRequest, KeyWith
from rewards.api.json_body import read_json
from rewards.api.paging import BusinessDay, refuse_other_parameters
from rewards.api.problems import ProblemPart, Refused, pointer
from rewards.choices import RuleType, RunStatus
from rewards.exceptions import HostRefused
from rewards.reports.explain.explanation import Outcome, explain_host
from rewards.reports.progress import progress
from rewards.services.hosts import EDITABLE, checked_value, put_host

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
        external_id=user_id, day=date, now=timezone.now(), visible=request.auth.visible
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
    found = progress(external_id=user_id, now=timezone.now(), visible=request.auth.visible)
    return JsonResponse(found.to_dict())


class HostFields(Schema):
    user_id: str
    first_name: str
    last_name: str
    left_on: dt.date | None = Field(description="The last day on which the host can earn.")


_NAME = {"type": "string", "maxLength": 150}
_FIELDS = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "first_name": _NAME,
        "last_name": _NAME,
        "left_on": {
            "type": ["string", "null"],
            "format": "date",
            "description": "The last day on which the host can earn; null clears it.",
        },
    },
}


@router.put(
    "/{path:user_id}",
    auth=KeyWith("hosts:write"),
    response={200: HostFields, 201: HostFields},
    summary="Create or change a host",
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": _FIELDS}}}
    },
)
def put(request: ApiRequest, user_id: str) -> JsonResponse:
    """Create the host, with 201, or change it. The same request again changes nothing.

    A key left out stays as it is. The body may be an empty object.
    """
    refuse_other_parameters(request)
    result = put_host(external_id=user_id, values=_fields(read_json(request)))
    host = result.host
    left_on = host.left_on.isoformat() if host.left_on else None
    return JsonResponse(
        {
            "user_id": host.external_id,
            "first_name": host.first_name,
            "last_name": host.last_name,
            "left_on": left_on,
        },
        status=201 if result.is_new else 200,
    )


def _fields(body: object) -> dict[str, object]:
    """Return the checked fields of a body. Raises Refused with all that is wrong."""
    if not isinstance(body, dict):
        sentence = "Expected an object with the fields of a host."
        raise Refused("invalid", sentence, errors=[{"pointer": "", "detail": sentence}])
    values: dict[str, object] = {}
    errors: list[ProblemPart] = []
    for name, value in body.items():
        try:
            if name not in EDITABLE:
                raise HostRefused(f"Unknown key {name[:80]!a:.80}; known: {', '.join(EDITABLE)}.")
            values[name] = checked_value(name, value)
        except HostRefused as refusal:
            errors.append({"pointer": pointer(name[:80]), "detail": str(refusal)})
    if errors:
        raise Refused("invalid", errors[0]["detail"], errors=errors)
    return values
