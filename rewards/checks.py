"""Wrong setups, found before they cost anything.

What only the running database can tell is asked by `manage.py check --database default`, and
with `--deploy` also what matters in production alone; `migrate` asks the former too.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connection
from django.utils import timezone

from rewards.choices import RULE_TYPE_SPECS, RuleType
from rewards.engine.evaluators import EVALUATORS
from rewards.exceptions import TimeZoneChanged
from rewards.models import ScoreHistory
from rewards.models.ledger import AWARD_ONCE
from rewards.services.time_zone import require_unchanged_time_zone

MAX_SKEW = timedelta(seconds=5)


@register
def rule_types_are_complete(
    app_configs: Sequence[AppConfig] | None = None, **_: Any
) -> list[CheckMessage]:
    """Every rule type has its terms and its evaluator, and there are no others."""
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
    """The constraint that keeps an award from being paid twice is there and in force."""
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
            f"The constraint {AWARD_ONCE} is missing or not in force: awards could be paid twice.",
            hint="Award nothing before it is back; verify_ledger lists what was paid twice.",
            id="rewards.E002",
        )
    ]


@register(Tags.database)
def zone_is_the_one_of_the_activity(
    app_configs: Sequence[AppConfig] | None = None,
    databases: Sequence[str] | None = None,
    **_: Any,
) -> list[CheckMessage]:
    """The business days of what is stored are those of REWARDS_TIME_ZONE."""
    if not _is_migrated(databases):
        return []
    try:
        require_unchanged_time_zone()
    except TimeZoneChanged as changed:
        return [Error(str(changed), hint="Set REWARDS_TIME_ZONE back.", id="rewards.E003")]
    return []


@register(Tags.database, deploy=True)
def commits_outlive_a_crash(
    app_configs: Sequence[AppConfig] | None = None,
    databases: Sequence[str] | None = None,
    **_: Any,
) -> list[CheckMessage]:
    """The server forgets nothing that it has confirmed."""
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


@register(Tags.database, deploy=True)
def clocks_agree(
    app_configs: Sequence[AppConfig] | None = None,
    databases: Sequence[str] | None = None,
    **_: Any,
) -> list[CheckMessage]:
    """This machine and the database's have the same time, which decides which day it is."""
    if not databases:
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (there,) = cursor.fetchone()
    skew = timezone.now() - there
    if abs(skew) <= MAX_SKEW:
        return []
    return [
        checks.Warning(
            f"The clock of this machine is {skew.total_seconds():+,.0f} seconds off the "
            f"database's; up to {MAX_SKEW.seconds} are fine.",
            hint="Let both follow the same time servers (NTP).",
            id="rewards.W001",
        )
    ]


def _is_migrated(databases: Sequence[str] | None) -> bool:
    """Return whether there is a ledger to be asked about; there is none before `migrate`."""
    if not databases:
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [ScoreHistory._meta.db_table])
        (is_there,) = cursor.fetchone()
    return bool(is_there)
