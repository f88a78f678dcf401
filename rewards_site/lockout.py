"""Against guessed passwords: who is locked out, for how long, and what they are told."""

from ipaddress import ip_address
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers

NAME_WEIGHT = 6
"""How many times the failures of one address it takes to lock a name for every address."""


class LockoutHandler(AxesDatabaseHandler):  # type: ignore[misc] # axes ships no types
    """Locks a name out for one address soon, and for all addresses only much later.

    Were a name locked everywhere as soon, anyone could keep its owner out from anywhere.
    """

    def get_failures(self, request: HttpRequest, credentials: Any = None) -> int:
        # In the order of AXES_LOCKOUT_PARAMETERS.
        of_pair, of_name = (
            int(sum(attempts.values_list("failures_since_start", flat=True)))
            for attempts in self.get_user_attempts(request, credentials)
        )
        return max(of_pair, of_name // NAME_WEIGHT)


def client_address(request: HttpRequest) -> str | None:
    """Return the address that the outermost of our own proxies, or else this server, saw.

    Anyone can send X-Forwarded-For: only the last entries, one for each of TRUSTED_PROXIES,
    were written by someone we know. None when the connection has no address.
    """
    address = request.META.get("REMOTE_ADDR", "")
    if settings.TRUSTED_PROXIES:
        hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
        if len(hops) >= settings.TRUSTED_PROXIES:
            address = hops[-settings.TRUSTED_PROXIES].strip()
    try:
        return str(ip_address(address))
    except ValueError:
        return None


def locked_out(
    request: HttpRequest, response: HttpResponse | None, credentials: Any
) -> HttpResponse:
    """Return what a locked out client sees: the same whether the name exists or not."""
    page = render(request, "429.html", status=429)
    page["Retry-After"] = str(int(settings.AXES_COOLOFF_TIME.total_seconds()))
    add_never_cache_headers(page)
    return page
