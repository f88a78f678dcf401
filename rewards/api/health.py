"""`/livez` and `/readyz`, for load balancers and supervisors.

They are middleware, not endpoints: a probe asks by address, without TLS and without a key.
"""

import logging
from collections.abc import Callable

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponseBase, JsonResponse

from rewards.api.problems import WRONG_SETTINGS, problem
from rewards.exceptions import SettingChanged
from rewards.selectors.database import pending_migrations
from rewards.services.db_errors import first_line
from rewards.services.unchanged_settings import require_unchanged_settings_once
from rewards.wording import count

logger = logging.getLogger(__name__)


def health_middleware(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Return middleware that answers `/livez` and `/readyz`."""
    answers = {"/livez": _live, "/readyz": _ready}

    def middleware(request: HttpRequest) -> HttpResponseBase:
        answer = answers.get(request.path_info)
        if answer is None:
            return get_response(request)
        response = answer()
        # Left to CommonMiddleware otherwise; without it the server would send it in chunks.
        response.headers["Content-Length"] = str(len(response.content))
        return response

    return middleware


def _live() -> JsonResponse:
    return _answer({"status": "live"})


def _ready() -> JsonResponse:
    try:
        pending = pending_migrations()
        if not pending:
            require_unchanged_settings_once()
    except SettingChanged:
        return problem("not-ready", WRONG_SETTINGS)
    except (DatabaseError, InterfaceError) as error:
        logger.warning("Not ready: %s", first_line(error))
        return problem("not-ready", "The database cannot be reached.")
    if pending:
        return problem("not-ready", f"The database lacks {count(pending, 'migration')}.")
    return _answer({"status": "ready", "live_awards": settings.REWARDS_LIVE})


def _answer(body: dict[str, object]) -> JsonResponse:
    return JsonResponse(body, headers={"Cache-Control": "no-store"})
