"""Clients of the API and their keys."""

import hashlib
import hmac
from datetime import date

from rewards.models import ApiClient, ApiKey
from rewards.models.api import KEY_FORMAT


def key_of_text(text: str, *, today: date) -> ApiKey | None:
    """Return the key with its client if `text` is one that is valid today, else None.

    One query, never cached: a revoked key is refused at once.
    """
    match = KEY_FORMAT.fullmatch(text)
    if match is None:
        return None
    prefix, secret = match.groups()
    key = ApiKey.objects.select_related("client").filter(prefix=prefix).first()
    if key is None or not hmac.compare_digest(bytes(key.digest), digest_of(secret)):
        return None
    return key if key.state_on(today) == "valid" else None


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
