"""Clients of the API and their keys."""

import hashlib
import hmac
from datetime import date

from django.db import connection

from rewards.models import ApiClient, ApiKey
from rewards.models.api import KEY_FORMAT
from rewards.selectors.prepared import fetch_prepared

_KEY_FIELDS = (
    "id", "client_id", "prefix", "digest", "expires_on", "revoked_at", "last_used_on",
)  # fmt: skip
_CLIENT_FIELDS = (
    "id", "name", "source", "scopes", "creates_hosts", "requests_per_second", "is_active",
)  # fmt: skip

# Every request asks this; through the ORM it takes eight times as long.
_BY_PREFIX = """
    SELECT k.id, k.client_id, k.prefix, k.digest, k.expires_on, k.revoked_at, k.last_used_on,
        c.id, c.name, c.source, c.scopes, c.creates_hosts, c.requests_per_second, c.is_active
    FROM rewards_apikey k JOIN rewards_apiclient c ON c.id = k.client_id
    WHERE k.prefix = %(prefix)s
"""


def key_of_text(text: str, *, today: date) -> ApiKey | None:
    """Return the key with its client if `text` is one that is valid today, else None.

    One query, never cached: a revoked key is refused at once.
    """
    match = KEY_FORMAT.fullmatch(text)
    if match is None:
        return None
    prefix, secret = match.groups()
    for row in fetch_prepared(_BY_PREFIX, {"prefix": prefix}):
        of_key, of_client = row[: len(_KEY_FIELDS)], row[len(_KEY_FIELDS) :]
        key = ApiKey.from_db(connection.alias, _KEY_FIELDS, of_key)
        key.client = ApiClient.from_db(connection.alias, _CLIENT_FIELDS, of_client)
        if hmac.compare_digest(key.digest, digest_of(secret)) and key.state_on(today) == "valid":
            return key
    return None


def digest_of(secret: str) -> bytes:
    """Return what is stored of a secret. It has 256 random bits, so a fast hash is safe."""
    return hashlib.sha256(secret.encode()).digest()


def client_of_source(source: str) -> ApiClient | None:
    return ApiClient.objects.filter(source=source).first()


def keys_of(client: ApiClient) -> list[ApiKey]:
    """Return all keys of `client`, the newest first."""
    return list(client.keys.select_related("created_by"))


def all_keys() -> list[ApiKey]:
    """Return the keys of all clients, by source, the newest first."""
    return list(ApiKey.objects.select_related("client").order_by("client__source", "-created_at"))


def has_client_with_limit() -> bool:
    return ApiClient.objects.filter(requests_per_second__isnull=False).exists()
