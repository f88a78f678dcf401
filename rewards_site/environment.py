"""Read settings from the environment. An invalid value is refused, with the name of its variable.

Blanks and line ends around a value are dropped. Messages never show a URL: it may hold a password.
"""

import os
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import environ
from django.core.exceptions import ImproperlyConfigured

LOG_LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]

# These exist as files, but mean another zone on another machine, or count leap seconds.
_NO_ZONES = {"localtime", "posixrules", "Factory"}
_NO_ZONE_FOLDERS = ("posix/", "right/")


def env_text(name: str, *, default: str = "") -> str:
    text = os.environ.get(name, default).strip()
    if any(character < " " or character == "\x7f" for character in text):
        raise ImproperlyConfigured(f"{name} contains a line break or another control character.")
    return text


def env_required(name: str, *, reason: str) -> str:
    text = env_text(name)
    if not text.strip(" ,"):
        raise ImproperlyConfigured(f"{name} is not set: {reason}.")
    return text


def env_list(name: str) -> list[str]:
    """Return the values that are separated by commas."""
    return [text.strip() for text in env_text(name).split(",") if text.strip()]


def env_bool(name: str, *, default: bool) -> bool:
    text = env_text(name, default=str(default))
    if text.lower() in {"1", "true", "yes", "on"}:
        return True
    if text.lower() in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name}={text!a:.80} is neither true nor false.")


def env_choice(name: str, *, choices: Collection[str], default: str) -> str:
    text = env_text(name, default=default)
    if text not in choices:
        raise ImproperlyConfigured(f"{name}={text!a:.80} is not one of {', '.join(choices)}.")
    return text


def env_int(name: str, *, default: int, min_value: int, max_value: int) -> int:
    text = env_text(name, default=str(default))
    is_number = text.isascii() and text.isdigit() and len(text) <= 12
    if not (is_number and min_value <= int(text) <= max_value):
        raise ImproperlyConfigured(
            f"{name}={text!a:.80} is not a whole number from {min_value} to {max_value}."
        )
    return int(text)


def env_time_zone(name: str, *, default: str) -> str:
    """Return the name of a time zone that is the same on every machine."""
    text = env_text(name, default=default)
    try:
        ZoneInfo(text)
        is_zone = text not in _NO_ZONES and not text.startswith(_NO_ZONE_FOLDERS)
    except (KeyError, ValueError, OSError):
        is_zone = False
    if not is_zone:
        raise ImproperlyConfigured(
            f"{name}={text!a:.80} is not a time zone; use a name such as Europe/Berlin."
        )
    return text


def env_log_level(name: str, *, default: str) -> str:
    text = env_text(name, default=default)
    if text.upper() not in LOG_LEVELS:
        raise ImproperlyConfigured(f"{name}={text!a:.80} is not one of {', '.join(LOG_LEVELS)}.")
    return text.upper()


def env_url(name: str, *, example: str, default: str = "") -> str:
    """Return a URL; an empty text if it is not set and has no default."""
    url = env_text(name, default=default)
    after_host = url.partition("://")[2].replace("?", "/").partition("/")[2]
    try:
        # A "#", "/" or "?" in a password ends the host early. The rest of the password would be
        # taken for the name of a database, and shown.
        is_valid = "#" not in url and "@" not in after_host
        urlsplit(url).port  # noqa: B018 - ValueError for a bad port
    except ValueError:
        is_valid = False
    if not is_valid:
        raise _unreadable_url(name, example)
    return url


def env_database(name: str) -> dict[str, Any]:
    """Return an entry of DATABASES for a PostgreSQL URL; an empty one if it is not set."""
    example = "postgresql://user:password@host:port/name"
    url = env_url(name, example=example)
    if not url:
        return {}
    if not url.startswith(("postgres://", "postgresql://")):
        engine = url.partition("://")[0] if "://" in url else ""
        raise ImproperlyConfigured(
            f"{name} names the engine {engine!a:.80}; only postgresql:// is supported."
        )
    try:
        database: dict[str, Any] = environ.Env.db_url_config(url)
    except (ValueError, ImproperlyConfigured):
        raise _unreadable_url(name, example) from None
    if not database["NAME"]:
        raise ImproperlyConfigured(f"{name} names no database; use {example}.")
    return database


def env_email(name: str, *, default: str) -> dict[str, Any]:
    """Return Django's EMAIL_... settings for a URL."""
    example = "smtp+tls://user:password@host:port"
    url = env_url(name, example=example, default=default)
    try:
        settings: dict[str, Any] = environ.Env.email_url_config(url)
    except (ValueError, ImproperlyConfigured):
        raise _unreadable_url(name, example) from None
    return settings


def _unreadable_url(name: str, example: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"{name} cannot be read; use {example}, with special characters of the password "
        "percent-encoded (# is %23, / is %2F)."
    )
