"""The file that lists the rejected rows of an import."""

import csv
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from rewards.exceptions import RewardsError
from rewards.services.activity.reading import COLUMNS, STDIN_NAME, is_pipe
from rewards.services.activity.rows import Rejection

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class RejectedFile:
    """The file of rejected rows: PATH.rejected.csv; of a pipe, in the current folder.

    It is written under a temporary name, and replaces that of an earlier import of the same file
    when this import ends, or removes it if nothing was rejected. Only its owner can read it.
    """

    def __init__(self, source: Path | None, *, columns: Sequence[str] = COLUMNS) -> None:
        """`source` is the imported file; None for standard input."""
        self._columns = columns
        if source is None:
            source = Path(STDIN_NAME)
        elif is_pipe(source):
            source = Path(source.name)
        self.path = source.with_name(f"{source.name}.rejected.csv")
        self._temporary: Any = None  # tempfile has no public name for the type

    def __enter__(self) -> "RejectedFile":
        return self

    def add(self, rejections: Iterable[Rejection]) -> Counter[str]:
        """Write the rows and return their number by category. Raises RewardsError."""
        categories: Counter[str] = Counter()
        with self._explained():
            for rejection in rejections:
                cells = rejection.cells or [""] * len(self._columns)
                self._writer.writerow([rejection.line, *map(_escaped, [rejection.reason, *cells])])
                categories[rejection.category] += 1
        return categories

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        with self._explained():
            if self._temporary is None:
                if error is None:
                    self.path.unlink(missing_ok=True)
                return
            try:
                self._temporary.close()
                if error is None:
                    os.replace(self._temporary.name, self.path)
            finally:
                Path(self._temporary.name).unlink(missing_ok=True)

    @cached_property
    def _writer(self) -> Any:  # csv has no public name for the type
        # The name is unique: two processes may import the same file.
        self._temporary = tempfile.NamedTemporaryFile(  # noqa: SIM115 - closed by __exit__
            "w",
            encoding="utf-8",
            newline="",
            dir=self.path.parent,
            prefix=f".{self.path.name[:50]}.",
            suffix=".part",
            delete=False,
        )
        writer = csv.writer(self._temporary, lineterminator="\n")
        writer.writerow(["line", "reason", *self._columns])
        return writer

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RewardsError(
                f"Cannot write {str(self.path)!a:.200}: {error.strerror}. "
                "Safe to run again when this is fixed."
            ) from error


def _escaped(text: str) -> str:
    """Return `text` without effects on a terminal or a spreadsheet."""
    printable = text if text.isprintable() else ascii(text)[1:-1]
    return "'" + printable if text.startswith(_FORMULA_STARTS) else printable
