"""The HTTP API: its routers, its problems and its documentation."""

import functools
from collections.abc import Callable
from typing import Any

from csp.constants import SELF
from csp.utils import build_policy
from django.http import HttpResponse
from ninja import NinjaAPI
from ninja.openapi.docs import Swagger
from ninja.openapi.schema import OpenAPISchema
from ninja.types import DictStrAny

from rewards.api import awards, events, hosts, leaderboard, runs
from rewards.api.json_body import StrictParser
from rewards.api.openapi import Document
from rewards.api.problems import install_handlers

_DESCRIPTION = """\
Send activity, and read scores, awards, runs and rankings.

Every request names its key: `Authorization: Bearer rwd_...`. A key belongs to a client, and allows
what its scopes say. Every refusal is `application/problem+json` with one sentence in `detail`.
After a status of 500 or more, or no answer at all, send the same request again: nothing is stored
or paid twice.

`/livez` and `/readyz` need no key.
"""


class RewardsAPI(NinjaAPI):
    @functools.cached_property
    def _document(self) -> OpenAPISchema:
        return Document(self, self.get_root_path({}))

    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: DictStrAny | None = None
    ) -> OpenAPISchema:
        """Return the document. The operations are fixed, so it is written once a process."""
        return self._document if path_prefix is None else Document(self, path_prefix)


def _with_policy(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Let the documentation carry the content security policy, also without the middleware."""
    # Its style sheet has icons as data; its script needs no eval, unlike the theme of the admin.
    policy = {"script-src": [SELF], "img-src": [SELF, "data:"]}

    @functools.wraps(view)
    def with_policy(*args: Any, **kwargs: Any) -> HttpResponse:
        response = view(*args, **kwargs)
        response.headers["Content-Security-Policy"] = build_policy(replace=policy)
        return response

    return with_policy


def make_api() -> RewardsAPI:
    """Return the API without its endpoints."""
    made = RewardsAPI(
        title="Rewards",
        version="1",
        description=_DESCRIPTION,
        urls_namespace="api",
        parser=StrictParser(),
        docs=Swagger({"validatorUrl": None}),
        docs_decorator=_with_policy,
    )
    install_handlers(made)
    return made


api = make_api()

api.add_router("/events", events.router)
# The addresses below a host first: its id may contain a slash.
api.add_router("/hosts", awards.router)
api.add_router("/hosts", hosts.router)
api.add_router("/leaderboard", leaderboard.router)
api.add_router("/runs", runs.router)
