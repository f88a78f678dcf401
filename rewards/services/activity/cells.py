"""Split a line of CSV, or an object of JSON, into the cells of a row."""

import csv
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rewards.services.activity.reading import COLUMNS, OPTIONAL, quoted

MAX_SHOWN = 140
"""Characters kept of each cell of a rejected row."""

_TYPES: dict[str, type] = dict.fromkeys(COLUMNS, str) | {"duration_seconds": int}
_TYPE_NAMES = {str: "text", int: "a whole number"}

_MAX_DIGITS = 4_300  # int() takes no more


class BadRow(Exception):
    """A row that cannot be stored: its category, as in Rejection, and a sentence of why."""

    def __init__(self, category: str, reason: str) -> None:
        super().__init__(reason)
        self.category = category
        self.reason = reason


class Malformed:
    """Stands in parsed JSON for a value that can be read past and has no meaning."""

    def __init__(self, reason: str) -> None:
        """`reason` is a sentence."""
        self.reason = reason


def csv_cells(text: str, order: Sequence[int | None], *, width: int) -> list[str]:
    """Return the cells of a line of `width` cells in the given order. Raises BadRow.

    A position of None makes an empty cell. A quoted cell cannot contain a line break here, so that
    an open quote costs one line only.
    """
    # A quoted line break leaves an odd number of quotes on the lines that it separates.
    try:
        (cells,) = csv.reader([text], strict=True)
        if text.count('"') % 2:
            raise csv.Error("quote not closed")
    except csv.Error:
        raise BadRow("line", f"Bad quotes in {quoted(text)}.") from None
    if len(cells) != width:
        raise BadRow("line", f"Expected {width} cells, found {len(cells)}: {quoted(text)}.")
    return ["" if position is None else cells[position] for position in order]


def parse_json(text: str) -> Any:
    """Return the value of a JSON text. Raises BadRow if it cannot be read to its end.

    An object that has a key twice, or a value that is not a JSON number, becomes Malformed; so does
    such a number in a list.
    """
    try:
        return json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer
        )
    except json.JSONDecodeError as error:
        line = f"line {error.lineno} " if error.lineno > 1 else ""
        raise BadRow("line", f"Not JSON: {error.msg} at {line}column {error.colno}.") from None
    except RecursionError:
        raise BadRow("line", "Nested too deep: expected a flat JSON object.") from None


def event_cells(event: object) -> list[str]:
    """Return the values of an object with the keys COLUMNS, in that order. Raises BadRow.

    `event` is a value of parse_json(). Without OPTIONAL its cell is empty.
    """
    if (malformed := first_malformed(event)) is not None:
        raise BadRow("line", malformed.reason)
    if not isinstance(event, dict):
        raise BadRow("line", f"Expected a JSON object, found {shown(event)}.")
    for column, expected in _TYPES.items():
        if column not in event:
            if column == OPTIONAL:
                continue
            raise BadRow("line", f"Missing key '{column}'.")
        if type(event[column]) is not expected:  # a bool is an int too
            raise BadRow(
                column,
                f"Bad {column}: expected {_TYPE_NAMES[expected]}, found {shown(event[column])}.",
            )
    for key in event:
        if key not in _TYPES:
            raise BadRow("line", f"Unknown key {quoted(key)}; known: {', '.join(COLUMNS)}.")
    return [str(event.get(column, "")) for column in COLUMNS]


def first_malformed(value: object) -> Malformed | None:
    """Return the first Malformed in a value of parse_json(), in the order of the text."""
    rest = [value]  # a list of lists can exceed the recursion limit
    while rest:
        value = rest.pop()
        if isinstance(value, Malformed):
            return value
        if isinstance(value, list | dict):
            rest.extend(reversed(value if isinstance(value, list) else list(value.values())))
    return None


def shown(value: object) -> str:
    """Return a value of parse_json() for a sentence: its JSON, up to 80 characters, or its kind."""
    # json.dumps() of a list can exceed the recursion limit, even if the list could be parsed.
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return f"{json.dumps(value):.80}"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | Malformed:
    found = dict(pairs)
    if len(found) < len(pairs):
        ((key, _),) = Counter(key for key, _ in pairs).most_common(1)
        return Malformed(f"Key {quoted(key)} twice.")
    return found


def _constant(name: str) -> Malformed:
    return Malformed(f"Not a JSON number: {name}.")


def _integer(digits: str) -> int | Malformed:
    return int(digits) if len(digits) <= _MAX_DIGITS else Malformed("Number too long.")
