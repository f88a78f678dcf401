"""Split a line of CSV or JSON Lines into the cells of a row."""

import csv
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, NoReturn

from rewards.services.activity.reading import COLUMNS, quoted

MAX_SHOWN = 140
"""Characters kept of each cell of a rejected row."""

_TYPES: dict[str, type] = dict.fromkeys(COLUMNS, str) | {"duration_seconds": int}
_TYPE_NAMES = {str: "text", int: "a whole number"}


class BadRow(Exception):
    """A row that cannot be stored: its category, as in Rejection, and a sentence of why."""

    def __init__(self, category: str, reason: str) -> None:
        self.category = category
        self.reason = reason


def csv_cells(text: str, order: Sequence[int]) -> list[str]:
    """Return the cells of a line of CSV in the given order. Raises BadRow.

    A quoted cell cannot contain a line break here, so that an open quote costs one line only.
    """
    # A quoted line break leaves an odd number of quotes on the lines that it separates.
    try:
        (cells,) = csv.reader([text], strict=True)
        if text.count('"') % 2:
            raise csv.Error("quote not closed")
    except csv.Error:
        raise BadRow("line", f"Bad quotes in {quoted(text)}.") from None
    if len(cells) != len(COLUMNS):
        raise BadRow("line", f"Expected {len(COLUMNS)} cells, found {len(cells)}: {quoted(text)}.")
    return [cells[position] for position in order]


def json_cells(text: str) -> list[str]:
    """Return the values of a JSON object with the keys COLUMNS, in that order. Raises BadRow."""
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise BadRow("line", f"Not JSON: {error.msg} at column {error.colno}.") from None
    except RecursionError:
        raise BadRow("line", "Nested too deep: expected a flat JSON object.") from None
    except ValueError:
        raise BadRow("line", "Number too long.") from None
    if not isinstance(value, dict):
        raise BadRow("line", f"Expected a JSON object, found {quoted(text)}.")
    for column, expected in _TYPES.items():
        if column not in value:
            raise BadRow("line", f"Missing key '{column}'.")
        if type(value[column]) is not expected:  # a bool is an int too
            raise BadRow(
                column,
                f"Bad {column}: expected {_TYPE_NAMES[expected]}, found {_found(value[column])}.",
            )
    for key in value:
        if key not in COLUMNS:
            raise BadRow("line", f"Unknown key {quoted(key)}; known: {', '.join(COLUMNS)}.")
    return [str(value[column]) for column in COLUMNS]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        ((key, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise BadRow("line", f"Key {quoted(key)} twice.")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise BadRow("line", f"Not a JSON number: {name}.")


def _found(value: object) -> str:
    # json.dumps() of a list can exceed the recursion limit, even if the list could be parsed.
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return f"{json.dumps(value):.80}"
