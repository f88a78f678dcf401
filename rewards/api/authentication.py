"""Which client a request comes from, and what it may do."""

from dataclasses import dataclass

from django.http import HttpRequest
from django.utils import timezone
from ninja.security.base import AuthBase

from rewards.api.problems import Refused
from rewards.api.rate_limit import require_rate
from rewards.choices import ApiScope
from rewards.models import ApiClient
from rewards.selectors.api_clients import key_of_text
from rewards.selectors.time_zone import business_date
from rewards.selectors.visible_hosts import ALL_HOSTS, VisibleHosts
from rewards.services.api_clients import record_use


@dataclass(frozen=True, slots=True)
class Access:
    """Who sent a request, and which hosts it may see; `request.auth` of an endpoint."""

    client: ApiClient
    visible: VisibleHosts


class ApiRequest(HttpRequest):
    """The request of an endpoint that needs a key."""

    auth: Access


class KeyWith(AuthBase):
    """Accepts a key that allows `scope`, up to the rate of its client."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __init__(self, scope: str) -> None:
        super().__init__()
        self.scope = ApiScope(scope)

    def __call__(self, request: HttpRequest) -> Access | None:
        """Return who sent the request; None without a valid key. Raises Refused."""
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        today = business_date(timezone.now())
        key = key_of_text(text.strip(), today=today)
        if key is None:
            return None
        record_use(key=key, today=today)
        client = key.client
        require_rate(client)
        if self.scope not in client.scopes:
            raise Refused("forbidden", f"The key does not allow {self.scope}.")
        return Access(client=client, visible=ALL_HOSTS)
