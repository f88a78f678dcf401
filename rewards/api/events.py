"""The entrance for activity: what the app sends at a login and at the end of a call."""

import datetime as dt
from typing import Any

from django.http import JsonResponse
from django.utils import timezone
from ninja import Field, Router, Schema

from rewards.api.authentication import ApiRequest, KeyWith
from rewards.api.json_body import read_text
from rewards.api.paging import refuse_other_parameters
from rewards.api.problems import Refused, pointer
from rewards.choices import MAX_CALL_SECONDS, ActivityKind, RuleType
from rewards.models.user import EXTERNAL_ID_PATTERN
from rewards.services.activity.cells import MAX_SHOWN, BadRow, Malformed, parse_json, shown
from rewards.services.activity.reading import COLUMNS, OPTIONAL, quoted
from rewards.services.ingest import ingest_events

MAX_EVENTS = 1_000
"""Events of one request."""

router = Router(tags=["events"])


class EventProblem(Schema):
    index: int = Field(description="The position of the event in the request, from 0.")
    event_id: str | None = Field(
        description=f"As sent, its first {MAX_SHOWN} characters; null if it is not text."
    )
    part: str = Field(
        description="The key that is wrong; `line` for the event as a whole, `user` for an unknown "
        "host, `conflict` for an id that is stored with other content."
    )
    reason: str = Field(description="One sentence for a person.")


class EarnedAward(Schema):
    user_id: str
    rule_type: RuleType
    reference_date: dt.date = Field(description="The business day.")
    points: int
    measured: int = Field(description="The count that was evaluated.")
    threshold: int


class Ingested(Schema):
    stored: int
    duplicates: int = Field(description="Events that are stored already, with the same content.")
    problems: list[EventProblem] = Field(description="The events that were not stored.")
    awards: list[EarnedAward] = Field(description="What these events have earned right away.")


_ID = {"type": "string", "pattern": EXTERNAL_ID_PATTERN}
_EVENT = {
    "title": "Event",
    "type": "object",
    "required": [name for name in COLUMNS if name != OPTIONAL],
    "additionalProperties": False,
    "properties": {
        "event_id": _ID
        | {
            "description": "Of a call, its own id; of a login, `login:<host>:<day>`. Sent again, "
            "it is counted once.",
            "examples": ["call-81734", "login:host-7:2026-11-23"],
        },
        "user_id": _ID | {"description": "The id of the host in the app.", "examples": ["host-7"]},
        "kind": {"type": "string", "enum": ActivityKind.values},
        "occurred_at": {
            "type": "string",
            "format": "date-time",
            "description": "With an offset; of a call, when it ended.",
            "examples": ["2026-11-23T21:04:05+01:00"],
        },
        "duration_seconds": {
            "type": "integer",
            "minimum": 0,
            "maximum": MAX_CALL_SECONDS,
            "default": 0,
            "description": "Of a call; a login needs none.",
        },
    },
}
_BODY = {
    "type": "object",
    "required": ["events"],
    "additionalProperties": False,
    "properties": {
        "events": {"type": "array", "minItems": 1, "maxItems": MAX_EVENTS, "items": _EVENT}
    },
}


@router.post(
    "",
    auth=KeyWith("events:write"),
    response=Ingested,
    summary="Send events",
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": _BODY}}}
    },
)
def post_events(request: ApiRequest) -> JsonResponse:
    """Store up to 1,000 events, in any order.

    The answer is 200 also if some or all of the events were rejected: `problems` names them, and
    the others are stored. After any other answer, or none, send the same events again.
    """
    refuse_other_parameters(request)
    client = request.auth.client
    report = ingest_events(
        events=_events(read_text(request)),
        source=client.source,
        creates_hosts=client.creates_hosts,
        now=timezone.now(),
    )
    return JsonResponse(report.to_dict())


def _events(text: str) -> list[Any]:
    """Return the events of a body, unchecked: what is wrong with one concerns no other."""
    try:
        body = parse_json(text)
    except BadRow as bad:
        raise Refused("bad-json", bad.reason) from None
    for value in (body, *(body.values() if isinstance(body, dict) else ())):
        if isinstance(value, Malformed):
            raise Refused("bad-json", value.reason)
    if not isinstance(body, dict):
        raise _invalid("", f"Expected an object with a list of events, found {shown(body)}.")
    for key in body:
        if key != "events":
            raise _invalid(pointer(key[:80]), f"Unknown key {quoted(key)}; known: events.")
    if "events" not in body:
        raise _invalid("", "Missing key 'events'.")
    events = body["events"]
    if not isinstance(events, list):
        raise _invalid("/events", f"Bad events: expected a list, found {shown(events)}.")
    if not 1 <= len(events) <= MAX_EVENTS:
        raise _invalid(
            "/events", f"Bad events: send 1 to {MAX_EVENTS:,} in a request, found {len(events):,}."
        )
    return events


def _invalid(where: str, sentence: str) -> Refused:
    return Refused("invalid", sentence, errors=[{"pointer": where, "detail": sentence}])
