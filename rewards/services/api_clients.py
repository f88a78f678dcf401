"""The only writer of the API's clients and their keys."""

import base64
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q

from rewards.exceptions import ClientChanged, ClientRefused, KeyRefused
from rewards.models import ApiClient, ApiKey, User
from rewards.models.api import KEY_START
from rewards.selectors.api_clients import digest_of
from rewards.services.db_errors import is_sequence_behind

MAX_VALID_KEYS = 2
"""Keys of a client that are valid at a time: the one in use, and the one that replaces it."""

_PREFIX_BYTES = 5
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key, and its text, which is known only now."""

    key: ApiKey
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientUpdate:
    """A client, and what an update changed."""

    client: ApiClient
    changes: Mapping[str, tuple[object, object]]
    """Field -> value before and value now."""


def create_client(
    *,
    name: str,
    source: str,
    scopes: Sequence[str],
    creates_hosts: bool = False,
    requests_per_second: int | None = None,
) -> ApiClient:
    """Create a client whose events have `source`. Raises ClientRefused."""
    client = ApiClient(
        name=name,
        source=source,
        scopes=list(scopes),
        creates_hosts=creates_hosts,
        requests_per_second=requests_per_second,
    )
    _require_valid(client)
    try:
        with transaction.atomic():
            client.save(force_insert=True)
    except IntegrityError as error:
        if is_sequence_behind(error):
            raise
        raise ClientRefused(f"Another client with the source {source} was just created.") from error
    return client


def update_client(
    *,
    client: int,
    name: str,
    scopes: Sequence[str],
    creates_hosts: bool,
    requests_per_second: int | None,
    is_active: bool,
    expected_token: str,
) -> ClientUpdate:
    """Change the client with this primary key. Its source never changes.

    `expected_token` is the version token that the editor's page showed; ClientChanged if the
    client has changed since (optimistic locking). Only changed fields are written. Raises
    ClientRefused.
    """
    wanted: dict[str, object] = {
        "name": name,
        "scopes": list(scopes),
        "creates_hosts": creates_hosts,
        "requests_per_second": requests_per_second,
        "is_active": is_active,
    }
    with transaction.atomic():
        row = ApiClient.objects.select_for_update().filter(pk=client).first()
        if row is None:
            raise ClientRefused(f"There is no API client {client}.")
        if row.version_token != expected_token:
            raise ClientChanged(f"{row} has been changed since you opened it.")
        changes = {
            name: (getattr(row, name), value)
            for name, value in wanted.items()
            if getattr(row, name) != value
        }
        for name, (_, value) in changes.items():
            setattr(row, name, value)
        if changes:
            _require_valid(row)
            row.save(update_fields=changes)
    return ClientUpdate(client=row, changes=changes)


def create_key(
    *,
    client: ApiClient,
    now: datetime,
    today: date,
    expires_on: date | None = None,
    author: User | None = None,
) -> NewKey:
    """Create a key of `client` that is valid through the business day `expires_on`, or until
    it is revoked.

    Raises KeyRefused if MAX_VALID_KEYS are valid already, or if it would have expired.
    """
    if expires_on is not None and expires_on < today:
        raise KeyRefused(f"The key would have expired: {expires_on} is before today, {today}.")
    prefix = base64.b32encode(secrets.token_bytes(_PREFIX_BYTES)).decode().lower()
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    with transaction.atomic():
        # Two calls at once would both find a place.
        ApiClient.objects.select_for_update().get(pk=client.pk)
        valid = ApiKey.objects.filter(client=client, revoked_at=None).filter(
            Q(expires_on=None) | Q(expires_on__gte=today)
        )
        names = [str(key) for key in valid.order_by("created_at")]
        if len(names) >= MAX_VALID_KEYS:
            raise KeyRefused(
                f"{client} has {len(names)} valid keys, {' and '.join(names)}; revoke one first."
            )
        key = ApiKey.objects.create(
            client=client,
            prefix=prefix,
            digest=digest_of(secret),
            created_at=now,
            created_by=author,
            expires_on=expires_on,
        )
    return NewKey(key=key, text=f"{KEY_START}{prefix}_{secret}")


def revoke_key(*, prefix: str, now: datetime) -> tuple[ApiKey, bool]:
    """Refuse a key from now on. Return it, and whether it was not revoked before.

    Raises KeyRefused if there is no such key.
    """
    with transaction.atomic():
        key = (
            ApiKey.objects.select_for_update(of=("self",))
            .select_related("client")
            .filter(prefix=prefix)
            .first()
        )
        if key is None:
            raise KeyRefused(
                f"There is no key {KEY_START + prefix!a:.80}; see `manage.py api_key list`."
            )
        is_new = key.revoked_at is None
        if is_new:
            key.revoked_at = now
            key.save(update_fields=["revoked_at"])
    return key, is_new


def record_use(*, key: ApiKey, today: date) -> None:
    """Note that `key` was used today; it is written once a day."""
    if key.last_used_on is None or key.last_used_on < today:
        ApiKey.objects.filter(Q(last_used_on=None) | Q(last_used_on__lt=today), pk=key.pk).update(
            last_used_on=today
        )


def _require_valid(client: ApiClient) -> None:
    try:
        client.full_clean()
    except ValidationError as error:
        raise ClientRefused(" ".join(error.messages)) from error
