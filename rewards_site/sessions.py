"""Limits on how long a session lasts."""

import time
from collections.abc import Callable
from datetime import timedelta

from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse

MAX_AGE = timedelta(hours=12)
"""Of a session in use, counted from the sign-in. Django's SESSION_COOKIE_AGE limits idle ones."""

RENEWAL_INTERVAL = timedelta(minutes=1)
"""A session is renewed at most this often, so that not every page writes to the database."""


class SessionLimits:
    """Renews a session in use, and ends it after MAX_AGE."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated:
            now = int(time.time())
            began = request.session.setdefault("began", now)
            if now - began >= MAX_AGE.total_seconds():
                logout(request)
            elif now - request.session.get("renewed", 0) >= RENEWAL_INTERVAL.total_seconds():
                request.session["renewed"] = now
        return self.get_response(request)
