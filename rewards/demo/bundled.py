"""The sample of real activity beside this file, moved in time."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import ClassVar

FILE = Path(__file__).with_name("collegemsg-2004-04.csv")
LAST_DAY = date(2004, 5, 2)
"""A Sunday."""


class Bundled:
    """The bundled activity: 18 UTC days in one file."""

    source: ClassVar[str] = "demo"
    first_event: ClassVar[str] = "cm-login-1-20040415"
    days: ClassVar[int] = 18

    def files(self, *, ends_on: date) -> Sequence[Iterable[str]]:
        """Return the lines of each file, header first; the last day becomes `ends_on`."""
        return [self._lines(ends_on)]

    def _lines(self, ends_on: date) -> Iterator[str]:
        shift = ends_on - LAST_DAY
        with FILE.open(encoding="ascii") as file:
            yield next(file)
            for line in file:
                event_id, user_id, kind, occurred_at, seconds = line.split(",")
                moved = datetime.fromisoformat(occurred_at) + shift
                yield f"{event_id},{user_id},{kind},{moved:%Y-%m-%dT%H:%M:%SZ},{seconds}"
