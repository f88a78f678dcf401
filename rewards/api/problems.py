"""Every refusal of the API as `application/problem+json` (RFC 9457)."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import NotRequired, TypedDict

from django.http import JsonResponse

_STATUS = {
    "bad-json": HTTPStatus.BAD_REQUEST,
    "bad-request": HTTPStatus.BAD_REQUEST,
    "unauthorized": HTTPStatus.UNAUTHORIZED,
    "forbidden": HTTPStatus.FORBIDDEN,
    "not-found": HTTPStatus.NOT_FOUND,
    "unknown-host": HTTPStatus.NOT_FOUND,
    "method-not-allowed": HTTPStatus.METHOD_NOT_ALLOWED,
    "length-required": HTTPStatus.LENGTH_REQUIRED,
    "too-large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "unsupported-media-type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "invalid": HTTPStatus.UNPROCESSABLE_ENTITY,
    "too-many-requests": HTTPStatus.TOO_MANY_REQUESTS,
    "internal": HTTPStatus.INTERNAL_SERVER_ERROR,
    "busy": HTTPStatus.SERVICE_UNAVAILABLE,
}
"""The status of each kind of problem."""


class ProblemPart(TypedDict):
    """What is wrong with one value of the body (`pointer`) or of the address (`parameter`)."""

    pointer: NotRequired[str]
    parameter: NotRequired[str]
    detail: str


class Refused(Exception):
    """A request that an endpoint refuses with the problem `slug`."""

    def __init__(self, slug: str, detail: str, *, errors: Sequence[ProblemPart] = ()) -> None:
        super().__init__(detail)
        self.slug = slug
        self.errors = errors


def problem(slug: str, detail: str, *, errors: Sequence[ProblemPart] = ()) -> JsonResponse:
    """Return the response for a refused request; `detail` is one sentence."""
    status = _STATUS[slug]
    body = {
        "type": f"urn:rewards:problem:{slug}",
        "title": status.phrase,
        "status": status,
        "detail": detail,
        "errors": list(errors),
    }
    return JsonResponse(body, status=status, content_type="application/problem+json")
