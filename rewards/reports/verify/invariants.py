"""An invariant: SQL that returns the rows that violate it.

Each large table is aggregated once into counts and checksums per day and run. Rows are compared
one by one only where checksums differ.

The names are those of the project's list of invariants. Three of that list have nothing to check:
awards are never reversed (I8), hosts belong to no agency (I17) and nobody is erased (I18).
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from rewards.wording import count

Row = Mapping[str, Any]


class Invariant(NamedTuple):
    """Something that must always hold, and the SQL that tells whether it does."""

    name: str
    sentence: str
    checked: str
    """SQL that returns the number of rows checked."""
    violations: str
    """SQL that returns a row for each violation.

    It may use all CTES by name, and the parameters: today, horizon (the first day of any score's
    period), min_call_seconds, and days, starts and ends (the business days of all events and their
    windows).
    """
    describe: Callable[[Row], str]
    """Return a violation as a sentence, from its columns; `host` is the host of its user_id."""


HOST_WEIGHT = f"(hashint8(user_id) + {2**40})"
"""The weight of a host in a checksum of hosts. It is far larger than the hash alone, so that the
sum tells their number too."""


def awards(row: Row) -> str:
    """Return a group of awards for people."""
    return (
        f"{count(row['entries'], 'ledger row')} of {row['rule_type']} for {row['reference_date']} "
        f"by run {row['run_id']}"
    )
