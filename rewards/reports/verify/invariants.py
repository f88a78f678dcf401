"""How a thing that must always hold is written down: as SQL that returns the rows that break it.

Large tables are read into few rows, the ledger and the events once: sums of counts, and the same
sums with each host's part weighed by its hash, which tell one set of hosts from another without
comparing each. Only where two tables differ in a sum are their rows looked at one by one.

The numbers are those of the project's list of invariants. Three of them have nothing to be
asked of: awards are never reversed (I8), hosts belong to no agency (I17) and nobody is erased
(I18).
"""

from typing import NamedTuple


class Invariant(NamedTuple):
    """A sentence that holds, how many rows it is asked of, and which rows break it."""

    name: str
    sentence: str
    checked: str
    """SQL that returns one number."""
    broken: str
    """SQL that returns a row for each violation.

    It may use the readings, common table expressions by name, and the parameters: today, horizon
    (the first day that any score's period holds), min_call_seconds, and days, starts and ends (the
    business days of all events and their windows).
    """


HOST_WEIGHT = f"(hashint8(user_id) + {2**40})"
"""What a host weighs in a sum that tells how many hosts and which: far more than its hash can."""
