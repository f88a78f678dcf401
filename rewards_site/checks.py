"""Checks of the site's own settings: Celery and its broker."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register
from kombu.exceptions import OperationalError
from redis import Redis, RedisError

from rewards_site.celery import app


@register
def celery_is_safe(app_configs: Sequence[AppConfig] | None = None, **_: Any) -> list[CheckMessage]:
    """No task runs twice, no message runs code, no schedule follows daylight saving."""
    found: list[CheckMessage] = []
    visibility = app.conf.broker_transport_options.get("visibility_timeout", 3600)
    limit = app.conf.task_time_limit
    if limit is None or limit >= visibility:
        found.append(
            Error(
                f"CELERY_TASK_TIME_LIMIT ({limit}) is not below the broker's visibility_timeout "
                f"({visibility}): a task that takes longer is delivered a second time.",
                hint="Raise visibility_timeout in CELERY_BROKER_TRANSPORT_OPTIONS.",
                id="rewards_site.E001",
            )
        )
    if list(app.conf.accept_content) != ["json"]:
        found.append(
            Error(
                f"CELERY_ACCEPT_CONTENT is {list(app.conf.accept_content)}: formats other than "
                "JSON let a message run code.",
                hint='Set CELERY_ACCEPT_CONTENT = ["json"].',
                id="rewards_site.E002",
            )
        )
    if str(app.conf.timezone) != "UTC" or not app.conf.enable_utc:
        found.append(
            Error(
                f"CELERY_TIMEZONE is {app.conf.timezone}: beat skips or repeats an hour when "
                "daylight saving begins or ends.",
                hint='Set CELERY_TIMEZONE = "UTC"; business days follow REWARDS_TIME_ZONE.',
                id="rewards_site.E003",
            )
        )
    return found


@register(Tags.security, deploy=True)
def broker_is_suitable(
    app_configs: Sequence[AppConfig] | None = None, **_: Any
) -> list[CheckMessage]:
    """Production has a broker, and it does not evict messages."""
    if settings.BROKER_IS_PRIVATE:
        return [
            checks.Warning(
                "CELERY_BROKER_URL is not set: workers and beat will not start. The web process "
                "and the commands work without it.",
                hint="Set it to a Redis or Valkey server: redis://user:password@host:port/number.",
                id="rewards_site.W001",
            )
        ]
    policy = _eviction_policy()
    if policy in {None, "noeviction"}:
        return []
    return [
        checks.Warning(
            f"The broker's maxmemory-policy is {policy}: if its memory is full, it drops messages.",
            hint="Set maxmemory-policy to noeviction: then the sender gets an error instead.",
            id="rewards_site.W002",
        )
    ]


def _eviction_policy() -> str | None:
    """Return the broker's maxmemory-policy; None if the broker cannot be reached."""
    try:
        with app.connection_for_read() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0)  # at once, unlike below
            client: Redis = connection.default_channel.client  # type: ignore[attr-defined]  # Redis has it
            policy: str | None = client.info("memory").get("maxmemory_policy")
            return policy
    except (OperationalError, RedisError):
        return None
