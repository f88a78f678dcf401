"""The limit of a client's requests, counted in the broker for all processes.

It protects the database from a client that runs wild; no promise depends on it. So it fails open:
without the broker every request is served.
"""

import functools
import logging
import re
import time

from django.conf import settings
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from rewards.api.problems import Refused
from rewards.models import ApiClient

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 0.1
"""How long a request waits for the broker."""

PAUSE_SECONDS = 5.0
"""How long a process counts nothing after the broker did not answer."""

WINDOW_SECONDS = 1

_resume_at = 0.0


def require_rate(client: ApiClient) -> None:
    """Raise Refused if `client` has sent more requests this second than it may."""
    if client.requests_per_second is not None and _count(client) > client.requests_per_second:
        raise Refused(
            "too-many-requests",
            f"More than {client.requests_per_second:,} requests in a second.",
            headers={"Retry-After": str(WINDOW_SECONDS)},
        )


def _count(client: ApiClient) -> int:
    """Return the number of requests of `client` in the current window; 0 without the broker."""
    global _resume_at
    if time.monotonic() < _resume_at:
        return 0
    key = f"rewards:requests:{client.pk}"
    try:
        with _broker(settings.CELERY_BROKER_URL).pipeline() as pipeline:
            # The window begins with its first request, by the clock of the broker.
            pipeline.set(key, 0, ex=WINDOW_SECONDS, nx=True)
            pipeline.incr(key)
            _, number = pipeline.execute()
            return int(number)
    except (RedisError, ValueError) as error:  # ValueError: an option of the address
        _resume_at = time.monotonic() + PAUSE_SECONDS
        logger.warning("Requests are not counted: the broker does not answer (%s).", error)
        return 0


@functools.cache
def _broker(url: str) -> Redis:
    """Return a client of the broker. Celery writes a socket and TLS in its own way."""
    url = url.replace("redis+socket://", "unix://", 1).replace("?virtual_host=", "?db=")
    return Redis.from_url(
        re.sub("(?<=ssl_cert_reqs=)CERT_[A-Z]+", lambda name: name[0][5:].lower(), url),
        socket_connect_timeout=TIMEOUT_SECONDS,
        socket_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), retries=0),
    )
