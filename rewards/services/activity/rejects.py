"""The file that lists the rows of an import that were not stored."""

import csv
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from rewards.exceptions import RewardsError
from rewards.services.activity.reading import COLUMNS
from rewards.services.activity.rows import Rejection

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class RejectedFile:
    """Takes the place of the list of an earlier import, whole, once this one has come to its end.

    Without any rejected row there is no file, nor one of an earlier import. A process that is
    killed leaves the earlier list as it was. Only its owner can read the list.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None
        self._writer: Any = None  # csv has no public name for the type

    def __enter__(self) -> "RejectedFile":
        return self

    def add(self, rejections: Iterable[Rejection]) -> Counter[str]:
        """Write the rejections as they come; return how many there are of each part.

        Raises RewardsError.
        """
        parts: Counter[str] = Counter()
        with self._explained():
            for rejection in rejections:
                if self._file is None:
                    self._open()
                cells = rejection.cells or [""] * len(COLUMNS)
                self._writer.writerow([rejection.line, *map(_safe, [rejection.reason, *cells])])
                parts[rejection.part] += 1
        return parts

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        with self._explained():
            if self._file is None:
                if error is None:
                    self.path.unlink(missing_ok=True)
                return
            try:
                self._file.close()
                if error is None:
                    os.replace(self._file.name, self.path)
            finally:
                Path(self._file.name).unlink(missing_ok=True)

    def _open(self) -> None:
        # Of a name of its own: the same file may be imported twice at the same time.
        self._file = tempfile.NamedTemporaryFile(  # noqa: SIM115 - closed by __exit__
            "w",
            encoding="utf-8",
            newline="",
            dir=self.path.parent,
            prefix=f".{self.path.name[:50]}.",
            suffix=".part",
            delete=False,
        )
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(["line", "reason", *COLUMNS])

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RewardsError(
                f"{str(self.path)!a:.200} cannot be written: {error.strerror}; "
                "safe to run again when that is mended."
            ) from error


def _safe(text: str) -> str:
    """Return `text` so that neither a terminal nor a spreadsheet does anything but show it."""
    shown = text if text.isprintable() else ascii(text)[1:-1]
    return "'" + shown if text.startswith(_FORMULA_STARTS) else shown
