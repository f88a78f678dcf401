"""System checks: wrong setups, found before they do harm.

`manage.py check --database default` also checks what only the database can tell; so does
`migrate`. With `--deploy`, also what matters in production only.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.apps import AppConfig, apps
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
from rewards.services.db_errors import sequence_behind
from rewards.services.unchanged_settings import (
    require_unchanged_min_call_seconds,
    require_unchanged_time_zone,
)

MAX_SKEW = timedelta(seconds=5)

_APPEND_ONLY = {ActivityEvent._meta.db_table, ScoreHistory._meta.db_table}


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


@register(Tags.database)
def awards_are_paid_once(
    app_configs: Sequence[AppConfig] | None = None,
    databases: Sequence[str] | None = None,
    **_: Any,
) -> list[CheckMessage]:
    """The constraint that prevents a second payment exists and is enforced."""
    if not _is_migrated(databases):
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT FROM pg_constraint c JOIN pg_index i ON i.indexrelid = c.conindid
            WHERE c.conrelid = 'rewards_scorehistory'::regclass AND c.conname = %s
                AND i.indisunique AND i.indisvalid AND NOT c.condeferrable
            """,
            [AWARD_ONCE],
        )
        if cursor.fetchone() is not None:
            return []
    return [
        Error(
            f"The constraint {AWARD_ONCE} is missing or not enforced: awards could be paid twice.",
            hint="Restore it before you award anything. verify_ledger lists what was paid twice.",
            id="rewards.E002",
        )
    ]


@register(Tags.database)
def settings_are_unchanged(
    app_configs: Sequence[AppConfig] | None = None,
    databases: Sequence[str] | None = None,
    **_: Any,
) -> list[CheckMessage]:
    """The stored activity was counted with today's settings."""
    if not _is_migrated(databases):
        return []
    found: list[CheckMessage] = []
    try:
        require_unchanged_time_zone()
    except TimeZoneChanged as changed:
        found.append(Error(str(changed), hint="Set REWARDS_TIME_ZONE back.", id="rewards.E003"))
    try:
        require_unchanged_min_call_seconds()
    except MinCallSecondsChanged as changed:
        found.append(
            Error(str(changed), hint="Set REWARDS_MIN_CALL_SECONDS back.", id="rewards.E008")
        )
    return found


@register(Tags.database, deploy=True)
def commits_outlive_a_crash(
    app_configs: Sequence[AppConfig] | None = None,
    databases: Sequence[str] | None = None,
    **_: Any,
) -> list[CheckMessage]:
    """The server writes a commit to disk before it confirms it."""
    if not databases:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM pg_settings WHERE setting = 'off' AND name IN "
            "('fsync', 'full_page_writes', 'synchronous_commit') ORDER BY name"
        )
        off = [name for (name,) in cursor]
    return [
        Error(
            f"PostgreSQL runs with {name} = off: a crash may lose awards that were confirmed.",
            hint=f"Set {name} = on in postgresql.conf, and for the role and the database.",
            id="rewards.E004",
        )
        for name in off
    ]


@register(Tags.database)
def the_encoding_is_utf8(
    app_configs: Sequence[AppConfig] | None = None,
    databases: Sequence[str] | None = None,
    **_: Any,
) -> list[CheckMessage]:
    """The database can store every character."""
    if not databases:
        return []
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_encoding")
        (encoding,) = cursor.fetchone()
    if encoding == "UTF8":
        return []
    return [
        Error(
            f"The encoding of the database is {encoding}: it cannot store every name.",
            hint="Create it WITH ENCODING 'UTF8' TEMPLATE template0, and restore a dump into it.",
            id="rewards.E005",
        )
    ]


@register(Tags.database)
def no_right_is_missing(
    app_configs: Sequence[AppConfig] | None = None,
    databases: Sequence[str] | None = None,
    **_: Any,
) -> list[CheckMessage]:
    """The database role may read and write every table. The append-only ones are never updated."""
    if not _is_migrated(databases):
        return []
    found: list[CheckMessage] = []
    for model in _models():
        table = model._meta.db_table
        rights = ["SELECT", "INSERT"] if table in _APPEND_ONLY else ["SELECT", "INSERT", "UPDATE"]
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT current_user, name FROM unnest(%s::text[]) AS name"
                " WHERE NOT has_table_privilege(%s, name)"
                " UNION ALL SELECT current_user, 'USAGE'"
                " WHERE NOT has_sequence_privilege(pg_get_serial_sequence(%s, %s), 'USAGE')",
                [rights, table, table, model._meta.pk.column],
            )
            rows = cursor.fetchall()
        if rows:
            missing = ", ".join(right for _, right in rows)
            found.append(
                Error(
                    f"The database role {rows[0][0]} lacks rights on {table}: {missing}.",
                    hint="Grant them; USAGE is a right on the sequence of the table.",
                    id="rewards.E006",
                )
            )
    return found


@register(Tags.database)
def sequences_are_ahead(
    app_configs: Sequence[AppConfig] | None = None,
    databases: Sequence[str] | None = None,
    **_: Any,
) -> list[CheckMessage]:
    """The next primary key of every table is a new one."""
    if not _is_migrated(databases) or no_right_is_missing(databases=databases):
        return []
    found: list[CheckMessage] = []
    for model in _models():
        if model._meta.auto_field is None:
            continue
        table = model._meta.db_table
        with connection.cursor() as cursor:
            cursor.execute(
                sql.SQL(
                    "SELECT (SELECT max(id) FROM {table}) > coalesce(pg_sequence_last_value("
                    "pg_get_serial_sequence({name}, 'id')::regclass), 0)"
                )
                .format(name=table, table=sql.Identifier(table))
                .as_string()
            )
            (is_behind,) = cursor.fetchone()
        if is_behind:
            found.append(Error(sequence_behind(table), id="rewards.E007"))
    return found


@register(Tags.database, deploy=True)
def clocks_agree(
    app_configs: Sequence[AppConfig] | None = None,
    databases: Sequence[str] | None = None,
    **_: Any,
) -> list[CheckMessage]:
    """This machine and the database server have the same time, which decides the business day."""
    if not databases:
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (server_time,) = cursor.fetchone()
    skew = timezone.now() - server_time
    if abs(skew) <= MAX_SKEW:
        return []
    return [
        checks.Warning(
            f"The clock of this machine is {skew.total_seconds():+,.0f} seconds off the "
            f"database's; up to {MAX_SKEW.seconds} are fine.",
            hint="Synchronise both with the same time servers (NTP).",
            id="rewards.W001",
        )
    ]


def _models() -> list[type[Model]]:
    models = apps.get_app_config("rewards").get_models()
    return [model for model in models if not model._meta.proxy]


def _is_migrated(databases: Sequence[str] | None) -> bool:
    """Return whether the tables exist; they do not before the first `migrate`."""
    if not databases:
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [ScoreHistory._meta.db_table])
        (is_there,) = cursor.fetchone()
    return bool(is_there)
