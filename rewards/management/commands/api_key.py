from collections.abc import Sequence
from datetime import date
from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction
from django.utils import timezone

from rewards.choices import ApiScope
from rewards.exceptions import UsageError
from rewards.management.base import RewardsCommand, day, whole_number
from rewards.models import ApiClient, ApiKey
from rewards.models.api import KEY_START, MAX_REQUESTS_PER_SECOND
from rewards.selectors.api_clients import all_keys, client_of_source
from rewards.selectors.time_zone import business_date
from rewards.services import api_clients

_HEADER = ("key", "source", "client", "state", "created", "expires", "last used")


class Command(RewardsCommand):
    help = "Create, revoke or list the keys of the API's clients."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["create", "revoke", "list"])
        parser.add_argument(
            "name",
            nargs="?",
            default="",
            metavar="NAME",
            help="create: the source of the client; revoke: the key, up to its second underscore",
        )
        parser.add_argument(
            "--expires-on", type=day, metavar="D", help="last business day; default: never"
        )
        new = parser.add_argument_group("create a client of this source first")
        new.add_argument("--client", default="", metavar="TEXT", help="its name")
        new.add_argument(
            "--scope",
            action="append",
            choices=ApiScope.values,
            dest="scopes",
            metavar="SCOPE",
            help="%(choices)s; may be repeated",
        )
        new.add_argument(
            "--creates-hosts", action="store_true", help="its events create unknown hosts"
        )
        new.add_argument(
            "--requests-per-second",
            type=whole_number(min_value=1, max_value=MAX_REQUESTS_PER_SECOND),
            metavar="N",
            help="refuse more; default: no limit",
        )

    def handle(self, *, action: str, name: str, **options: Any) -> None:
        if bool(name) == (action == "list"):
            raise UsageError(
                "The action list takes no NAME."
                if name
                else f"The action {action} needs a NAME; see --help."
            )
        of_create = ("expires_on", "client", "scopes", "creates_hosts", "requests_per_second")
        if action == "create":
            self._create(name, **{option: options[option] for option in of_create})
        elif any(options[option] for option in of_create):
            raise UsageError(f"The action {action} takes none of the options of create.")
        elif action == "revoke":
            self._revoke(name)
        else:
            self._list()

    def _create(self, source: str, *, expires_on: date | None, client: str, **new: Any) -> None:
        if self.is_quiet:
            raise UsageError("A key is shown only when it is created; leave out --verbosity 0.")
        if not client and any(new.values()):
            raise UsageError("Options of a new client need its name: --client TEXT.")
        if client and not new["scopes"]:
            raise UsageError(f"A new client needs a --scope: {', '.join(ApiScope.values)}.")
        now = timezone.now()
        with transaction.atomic():  # a client without a key would be in the way the next time
            if client:
                found = api_clients.create_client(name=client, source=source, **new)
            else:
                found = _client_of(source)
            created = api_clients.create_key(
                client=found, now=now, today=business_date(now), expires_on=expires_on
            )
        until = f", valid through {expires_on}" if expires_on else ""
        self.report(
            f"Created a key of {found}{until}. It is shown only now:\n{created.text}",
            _to_dict(created.key, business_date(now)) | {"key": created.text},
        )

    def _revoke(self, name: str) -> None:
        prefix = _prefix(name)
        key, is_new = api_clients.revoke_key(prefix=prefix, now=timezone.now())
        verb = "Revoked" if is_new else "Nothing to do: revoked already:"
        self.report(
            f"{verb} {key} of {key.client}.",
            _to_dict(key, business_date(timezone.now())) | {"is_new": is_new},
        )

    def _list(self) -> None:
        today = business_date(timezone.now())
        keys = all_keys()
        self.report(_text(keys, today), {"keys": [_to_dict(key, today) for key in keys]})


def _client_of(source: str) -> ApiClient:
    client = client_of_source(source)
    if client is None:
        raise UsageError(
            f"No client has the source {source!a:.80}; add --client TEXT and --scope to create one."
        )
    return client


def _prefix(name: str) -> str:
    """Return the prefix of a key, also of its whole text. A secret is never repeated."""
    return name.removeprefix(KEY_START).partition("_")[0]


def _text(keys: Sequence[ApiKey], today: date) -> str:
    if not keys:
        return "No keys. Create one with api_key create."
    rows = [_HEADER, *(_cells(key, today) for key in keys)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _cells(key: ApiKey, today: date) -> tuple[str, ...]:
    return (
        str(key),
        key.client.source,
        key.client.name,
        key.state_on(today),
        str(business_date(key.created_at)),
        str(key.expires_on or "never"),
        str(key.last_used_on or "never"),
    )


def _to_dict(key: ApiKey, today: date) -> dict[str, Any]:
    return {
        "prefix": str(key),
        "source": key.client.source,
        "client": key.client.name,
        "scopes": key.client.scopes,
        "state": key.state_on(today),
        "created_at": key.created_at.isoformat(),
        "expires_on": key.expires_on and key.expires_on.isoformat(),
        "revoked_at": key.revoked_at and key.revoked_at.isoformat(),
        "last_used_on": key.last_used_on and key.last_used_on.isoformat(),
    }
