"""Pages of a list, each found by the key of the last row before it (keyset paging).

A key names a place in the order, not a number of rows: rows that are added meanwhile neither repeat
nor hide one that was there before. A row added before that place is missed; one that moves, as a
host in a ranking does, can be read twice or not at all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Row = TypeVar("Row")
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row, Key]):
    """Rows of a list, and where the next page begins."""

    rows: Sequence[Row]
    next: Key | None
    """The key of the last row; None on the last page."""


def page_of(rows: Sequence[Row], *, limit: int, key: Callable[[Row], Key]) -> Page[Row, Key]:
    """Return the page of the first `limit` of `rows`, of which one more was read if there is."""
    if len(rows) <= limit:
        return Page(rows, None)
    return Page(rows[:limit], key(rows[limit - 1]))
