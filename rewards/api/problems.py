"""Every refusal of the API as `application/problem+json` (RFC 9457)."""

import logging
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, NotRequired, TypedDict

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import (
    Http404,
    HttpRequest,
    HttpResponseBase,
    JsonResponse,
    UnreadablePostError,
)
from django.utils.encoding import escape_uri_path
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from rewards.exceptions import (
    AlreadyRunning,
    Busy,
    QueryTimedOut,
    QueueUnreachable,
    RewardsError,
    SettingChanged,
    UnknownHost,
    UnknownRun,
    UsageError,
)
from rewards.services.db_errors import first_line
from rewards.wording import count

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

RETRY_SECONDS = 2
"""When to send a request again that met a busy or absent database."""

API_PATH = "/api/"

WRONG_SETTINGS = "The server has wrong settings; its log says which."

STATUSES = {
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
    "not-ready": HTTPStatus.SERVICE_UNAVAILABLE,
    "internal": HTTPStatus.INTERNAL_SERVER_ERROR,
    "busy": HTTPStatus.SERVICE_UNAVAILABLE,
}
"""The status of each kind of problem."""

_SLUGS: dict[type[RewardsError], str] = {
    UnknownHost: "unknown-host",
    UnknownRun: "not-found",
    UsageError: "invalid",
    SettingChanged: "not-ready",
    AlreadyRunning: "busy",
    Busy: "busy",
    QueryTimedOut: "busy",
    QueueUnreachable: "busy",
}
"""The kind of problem of each exception; that of the nearest class counts."""

_SENTENCES = {
    HTTPStatus.BAD_REQUEST: "The request is malformed.",
    HTTPStatus.NOT_FOUND: "There is nothing at this address.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address does not take this method.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "An unexpected error occurred; it is in the log.",
}


class ProblemPart(TypedDict):
    """What is wrong with a value of the body (`pointer`) or of the address (`parameter`)."""

    pointer: NotRequired[str]
    parameter: NotRequired[str]
    detail: str


class Refused(Exception):
    """A request that is refused with the problem `slug`; the message is one sentence."""

    def __init__(
        self,
        slug: str,
        detail: str,
        *,
        errors: Sequence[ProblemPart] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.slug = slug
        self.errors = errors
        self.headers = headers


def problem(
    slug: str,
    detail: str,
    *,
    errors: Sequence[ProblemPart] = (),
    headers: Mapping[str, str] | None = None,
) -> JsonResponse:
    """Return the response for a refused request; `detail` is one sentence."""
    status = STATUSES[slug]
    return _response(slug, status, detail, errors, headers or {})


def install_handlers(api: NinjaAPI) -> None:
    """Let `api` answer every exception with a problem."""
    handlers: dict[type[Exception], Callable[[HttpRequest, Any], JsonResponse]] = {
        Refused: _on_refused,
        ValidationError: _on_invalid,
        AuthenticationError: _on_unauthorized,
        HttpError: _on_http_error,
        Http404: _on_not_found,
        RequestDataTooBig: _on_too_big,
        SuspiciousOperation: _on_malformed,
        UnreadablePostError: _on_malformed,  # the client has disconnected
        RewardsError: _on_rewards_error,
        OperationalError: _on_database_away,
        InterfaceError: _on_database_away,
        Exception: _on_bug,
    }
    for exception, handler in handlers.items():
        api.add_exception_handler(exception, handler)


def problems_middleware(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Return middleware that makes a problem of any other refusal below /api/.

    Those are Django's own: an unknown address or host, a wrong method, an error outside of the
    API. A process that serves the API alone has no other pages.
    """
    is_api_alone = settings.REWARDS_SERVE == "api"

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if (
            response.status_code < HTTPStatus.BAD_REQUEST
            or response.headers.get("Content-Type", "").startswith(MEDIA_TYPE)
            or not (is_api_alone or request.path_info.startswith(API_PATH))
        ):
            return response
        status = HTTPStatus(response.status_code)
        kept = {
            name: response.headers[name]
            for name in ("Allow", "Retry-After")
            if name in response.headers
        }
        return _of_status(status, _sentence(status), kept)

    return middleware


def error_view(status: HTTPStatus) -> Callable[..., JsonResponse]:
    """Return the view of Django's own errors in a process that has no pages for them."""

    def view(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
        return _of_status(status, _sentence(status), {})

    return view


@csrf_exempt  # as the endpoints: a program sends no cookie
def not_found(request: HttpRequest) -> JsonResponse:
    """The view of every unknown address below /api/."""
    return problem("not-found", _SENTENCES[HTTPStatus.NOT_FOUND])


def pointer(*keys: str | int) -> str:
    """Return the JSON Pointer (RFC 6901) of a value in the body."""
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in keys)


def _on_refused(request: HttpRequest, refused: Refused) -> JsonResponse:
    return problem(refused.slug, str(refused), errors=refused.errors, headers=refused.headers)


def _on_invalid(request: HttpRequest, error: ValidationError) -> JsonResponse:
    parts = [_part(found) for found in error.errors]
    if len(parts) == 1:
        detail = parts[0]["detail"]
    else:
        detail = f"The request has {count(len(parts), 'invalid value')}."
    return problem("invalid", detail, errors=parts)


def _part(found: Mapping[str, Any]) -> ProblemPart:
    where, *path = found["loc"]
    said = str(found["msg"]).rstrip(".")
    if where == "body":
        # The first key is the name of the function's argument.
        return {"pointer": pointer(*path[1:]), "detail": f"{_name(path[1:])}: {said}."}
    return {"parameter": str(path[-1]), "detail": f"{_name(path)}: {said}."}


def _name(path: Sequence[object]) -> str:
    return f"Bad {path[-1]!s:.80}" if path else "Bad body"


def _on_unauthorized(request: HttpRequest, error: AuthenticationError) -> JsonResponse:
    # The same words for each cause, so that nobody learns which keys exist.
    return problem(
        "unauthorized",
        "Send a valid key: Authorization: Bearer rwd_....",
        headers={"WWW-Authenticate": 'Bearer realm="rewards"'},
    )


def _on_http_error(request: HttpRequest, error: HttpError) -> JsonResponse:
    if isinstance(error.__cause__, Refused):  # ninja hides what a parser raises
        return _on_refused(request, error.__cause__)
    return _of_status(HTTPStatus(error.status_code), f"{str(error).rstrip('.')}.", {})


def _on_not_found(request: HttpRequest, error: Http404) -> JsonResponse:
    return not_found(request)


def _on_too_big(request: HttpRequest, error: RequestDataTooBig) -> JsonResponse:
    return problem("too-large", "The body is too large.")


def _on_malformed(
    request: HttpRequest, error: SuspiciousOperation | UnreadablePostError
) -> JsonResponse:
    return problem("bad-request", _SENTENCES[HTTPStatus.BAD_REQUEST])


def _on_rewards_error(request: HttpRequest, error: RewardsError) -> JsonResponse:
    for exception in type(error).__mro__:
        if exception in _SLUGS:
            slug = _SLUGS[exception]
            break
    else:
        return _on_bug(request, error)
    if slug == "not-ready":
        # Logged once, where it was found.
        return problem(slug, WRONG_SETTINGS, headers={"Retry-After": str(RETRY_SECONDS)})
    if slug != "busy":
        return problem(slug, str(error))
    logger.warning("%s %s: %s", request.method, _address(request), error)
    return _busy(str(error))


def _on_database_away(
    request: HttpRequest, error: OperationalError | InterfaceError
) -> JsonResponse:
    # The message of the driver may name the host and the user of the database.
    logger.warning("%s %s: %s", request.method, _address(request), first_line(error))
    return _busy("The database is busy or cannot be reached; send the same request again.")


def _on_bug(request: HttpRequest, error: Exception) -> JsonResponse:
    logger.error(
        "%s %s failed.",
        request.method,
        _address(request),
        exc_info=error,
        extra={"request": request},
    )
    return problem("internal", _SENTENCES[HTTPStatus.INTERNAL_SERVER_ERROR])


def _address(request: HttpRequest) -> str:
    """Return the path as the client sent it: decoded, it could forge a line of the log."""
    return escape_uri_path(request.path)


def _busy(detail: str) -> JsonResponse:
    return problem("busy", detail, headers={"Retry-After": str(RETRY_SECONDS)})


def _of_status(status: HTTPStatus, detail: str, headers: Mapping[str, str]) -> JsonResponse:
    slugs = (slug for slug, known in STATUSES.items() if known == status and slug != "bad-json")
    slug = next(slugs, status.phrase.lower().replace(" ", "-"))
    return _response(slug, status, detail, (), headers)


def _sentence(status: HTTPStatus) -> str:
    return _SENTENCES.get(status, f"{status.description or status.phrase}.")


def _response(
    slug: str,
    status: HTTPStatus,
    detail: str,
    errors: Sequence[ProblemPart],
    headers: Mapping[str, str],
) -> JsonResponse:
    body = {
        "type": f"urn:rewards:problem:{slug}",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "errors": list(errors),
    }
    response = JsonResponse(
        body,
        status=status.value,
        content_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store", **headers},
    )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        # Logged here already. Django would mail each refusal to ADMINS while the database is away.
        response._has_been_logged = True  # type: ignore[attr-defined]
    return response
