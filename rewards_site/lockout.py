"""Lock-out after too many wrong passwords."""

from ipaddress import ip_address
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers

NAME_WEIGHT = 6
"""Locking a name for all addresses takes this many times the failures of one address."""


class LockoutHandler(AxesDatabaseHandler):  # type: ignore[misc] # axes ships no types
    """Locks a name for one address after a few failures, for all addresses after many.

    If a few failures locked the name everywhere, anybody could lock out its owner.
    """

    def get_failures(self, request: HttpRequest, credentials: Any = None) -> int:
        # In the order of AXES_LOCKOUT_PARAMETERS.
        of_pair, of_name = (
            int(sum(attempts.values_list("failures_since_start", flat=True)))
            for attempts in self.get_user_attempts(request, credentials)
        )
        return max(of_pair, of_name // NAME_WEIGHT)


def client_address(request: HttpRequest) -> str | None:
    """Return the client's address as our outermost proxy saw it; None if it is not an address.

    Clients can forge X-Forwarded-For. Only its last entries, one for each of TRUSTED_PROXIES, are
    from our own proxies.
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
    """Return the page for a locked client. It does not tell whether the name exists."""
    page = render(request, "429.html", status=429)
    page["Retry-After"] = str(int(settings.AXES_COOLOFF_TIME.total_seconds()))
    add_never_cache_headers(page)
    return page
