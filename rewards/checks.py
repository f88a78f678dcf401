"""System checks: wrong setups, found before they do harm.

`manage.py check --database default` also checks what only the database can tell; so does
`migrate`. With `--deploy`, also what matters in production only.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connection
from django.db.models import Model
from django.utils import timezone
from psycopg import sql

from rewards.choices import RULE_TYPE_SPECS, RuleType
from rewards.engine.evaluators import EVALUATORS
from rewards.exceptions import MinCallSecondsChanged, TimeZoneChanged
from rewards.models import ActivityEvent, ScoreHistory
from rewards.models.ledger import AWARD_ONCE
from rewards.selectors.api_clients import has_client_with_limit
from rewards.services.db_errors import sequence_behind
from rewards.services.unchanged_settings import (
    require_unchanged_min_call_seconds,
    require_unchanged_time_zone,
)

MAX_SKEW = timedelta(seconds=5)

_APPEND_ONLY = {ActivityEvent, ScoreHistory}

Messages = Iterator[CheckMessage]


def _database_check(
    *, deploy: bool = False, needs_tables: bool = True
) -> Callable[[Callable[[], Messages]], Callable[..., list[CheckMessage]]]:
    """Register a check that queries the database, which Django allows for named databases only."""

    def decorate(find: Callable[[], Messages]) -> Callable[..., list[CheckMessage]]:
        def check(
            app_configs: Sequence[AppConfig] | None = None,
            databases: Sequence[str] | None = None,
            **_: Any,
        ) -> list[CheckMessage]:
            is_ready = databases and (not needs_tables or _is_migrated())
            return list(find()) if is_ready else []

        check.__name__, check.__doc__ = find.__name__, find.__doc__
        return register(check, Tags.database, deploy=deploy)

    return decorate


@register
def rule_types_are_complete(
    app_configs: Sequence[AppConfig] | None = None, **_: Any
) -> list[CheckMessage]:
    """Every rule type has its specification and its evaluator, and there are no others."""
    return [
        Error(
            f"{name} and RuleType differ in {', '.join(sorted(differing))}.",
            hint=f"A rule type is a member of RuleType and a row of {name}.",
            id="rewards.E001",
        )
        for name, found in (("RULE_TYPE_SPECS", RULE_TYPE_SPECS), ("EVALUATORS", EVALUATORS))
        if (differing := found.keys() ^ set(RuleType))
    ]


@_database_check()
def awards_are_paid_once() -> Messages:
    """The constraint that prevents a second payment exists and is enforced."""
    if not _rows(
        "SELECT FROM pg_constraint c JOIN pg_index i ON i.indexrelid = c.conindid"
        " WHERE c.conrelid = 'rewards_scorehistory'::regclass AND c.conname = %s"
        " AND i.indisunique AND i.indisvalid AND NOT c.condeferrable",
        AWARD_ONCE,
    ):
        yield Error(
            f"The constraint {AWARD_ONCE} is missing or not enforced: awards could be paid twice.",
            hint="Restore it before you award anything. verify_ledger lists what was paid twice.",
            id="rewards.E002",
        )


@_database_check()
def settings_are_unchanged() -> Messages:
    """The stored activity was counted with the current settings."""
    try:
        require_unchanged_time_zone()
    except TimeZoneChanged as changed:
        yield Error(str(changed), id="rewards.E003")
    try:
        require_unchanged_min_call_seconds()
    except MinCallSecondsChanged as changed:
        yield Error(str(changed), id="rewards.E008")


@_database_check(deploy=True, needs_tables=False)
def commits_outlive_a_crash() -> Messages:
    """The server writes a commit to disk before it confirms it."""
    for (name,) in _rows(
        "SELECT name FROM pg_settings WHERE setting = 'off' AND name IN "
        "('fsync', 'full_page_writes', 'synchronous_commit') ORDER BY name"
    ):
        yield Error(
            f"PostgreSQL runs with {name} = off: a crash may lose awards that were confirmed.",
            hint=f"Set {name} = on in postgresql.conf, and for the role and the database.",
            id="rewards.E004",
        )


@_database_check(needs_tables=False)
def the_encoding_is_utf8() -> Messages:
    """The database can store every character."""
    ((encoding,),) = _rows("SHOW server_encoding")
    if encoding != "UTF8":
        yield Error(
            f"The encoding of the database is {encoding}: it cannot store every name.",
            hint="Create it WITH ENCODING 'UTF8' TEMPLATE template0, and restore a dump into it.",
            id="rewards.E005",
        )


@_database_check()
def no_right_is_missing() -> Messages:
    """The database role may read and write every table."""
    for model in _models():
        table = model._meta.db_table
        rows = _rows(
            "SELECT current_user, name FROM unnest(%s::text[]) AS name"
            " WHERE NOT has_table_privilege(%s, name)"
            " UNION ALL SELECT current_user, 'USAGE'"
            " WHERE NOT has_sequence_privilege(pg_get_serial_sequence(%s, %s), 'USAGE')",
            ["SELECT", "INSERT", *([] if model in _APPEND_ONLY else ["UPDATE"])],
            table,
            table,
            model._meta.pk.column,
        )
        if rows:
            missing = ", ".join(right for _, right in rows)
            yield Error(
                f"The database role {rows[0][0]} lacks rights on {table}: {missing}.",
                hint="Grant them; USAGE is a right on the sequence of the table.",
                id="rewards.E006",
            )


@_database_check()
def sequences_are_ahead() -> Messages:
    """The next primary key of every table is a new one."""
    if list(no_right_is_missing(databases=["default"])):
        return  # the queries below would fail
    for model in _models():
        if model._meta.auto_field is None:
            continue
        table = model._meta.db_table
        query = sql.SQL(
            "SELECT (SELECT max(id) FROM {}) > coalesce(pg_sequence_last_value("
            "pg_get_serial_sequence({}, 'id')::regclass), 0)"
        ).format(sql.Identifier(table), table)
        ((is_behind,),) = _rows(query.as_string())
        if is_behind:
            yield Error(sequence_behind(table), id="rewards.E007")


@_database_check(deploy=True, needs_tables=False)
def clocks_agree() -> Messages:
    """This machine and the database server have the same time, which decides the business day."""
    ((server_time,),) = _rows("SELECT clock_timestamp()")
    skew = timezone.now() - server_time
    if abs(skew) > MAX_SKEW:
        yield checks.Warning(
            f"The clock of this machine is {skew.total_seconds():+,.0f} seconds off the "
            f"database's; up to {MAX_SKEW.seconds} are fine.",
            hint="Synchronise both with the same time servers (NTP).",
            id="rewards.W001",
        )


@_database_check(deploy=True)
def limits_are_counted() -> Messages:
    """There is a broker to count the requests of clients that have a limit."""
    if settings.BROKER_IS_PRIVATE and has_client_with_limit():
        yield checks.Warning(
            "A client of the API has a limit of requests, but CELERY_BROKER_URL is not set: its "
            "requests are not counted.",
            hint="Set it to the Redis or Valkey server that counts for all processes.",
            id="rewards.W002",
        )


def _models() -> list[type[Model]]:
    models = apps.get_app_config("rewards").get_models()
    return [model for model in models if not model._meta.proxy]


def _is_migrated() -> bool:
    ((is_migrated,),) = _rows("SELECT to_regclass(%s) IS NOT NULL", ScoreHistory._meta.db_table)
    return bool(is_migrated)


def _rows(query: str, *values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values or None)
        return list(cursor)
