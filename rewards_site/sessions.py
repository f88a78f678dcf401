"""How long a session lasts: not long when idle, and not for ever when busy."""

import time
from collections.abc import Callable
from datetime import timedelta

from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse

ABSOLUTE = timedelta(hours=12)
"""A working day. How long an idle session lasts is Django's SESSION_COOKIE_AGE."""

EVERY = timedelta(minutes=1)
"""A session is renewed at most this often, to spare the database a write for each page."""


class SessionLimits:
    """Renews the session of whoever is at work, and ends it when it has lasted long enough."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated:
            now = int(time.time())
            began = request.session.setdefault("began", now)
            if now - began >= ABSOLUTE.total_seconds():
                logout(request)
            elif now - request.session.get("renewed", 0) >= EVERY.total_seconds():
                request.session["renewed"] = now
        return self.get_response(request)
