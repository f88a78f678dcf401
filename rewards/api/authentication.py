"""Which client a request comes from, and what it may do."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from ninja.security.base import AuthBase

from rewards.selectors.scope import Scope


@dataclass(frozen=True)
class Access:
    """Who sent a request, as `request.auth`."""

    client: Any
    scope: Scope


class ApiRequest(HttpRequest):
    """A request with an accepted key."""

    auth: Access


class KeyWith(AuthBase):
    """Accepts the key of an active client that has the permission `scope`."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __init__(self, scope: str) -> None:
        super().__init__()
        self.scope = scope

    def __call__(self, request: HttpRequest) -> Access | None:
        """Return who sent the request; None for no key or a wrong one."""
        return None
