"""Downloads of what a list shows, of any length: streamed, and safe to open in a spreadsheet.

What a row holds is for a resource of django-import-export to say, whose own way to write a file
holds all rows in memory. Here they go to the reader block by block. XlsxWriter has a file ready at
its end only, so each block is a workbook to it, whose rows go on into the one sheet that is sent.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from datetime import date
from itertools import islice
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import xlsxwriter
from django.db.models import QuerySet
from django.http import Http404, HttpResponseBase, StreamingHttpResponse
from import_export.resources import Resource
from zipstream import ZipStream

MAX_SHEET_ROWS = 1_048_575
"""What a sheet of a spreadsheet holds below its header."""

FORMATS = ("csv", "xlsx")

_BLOCK = 2_000
"""Rows sent at a time."""

_WORKBOOK_OPTIONS = {
    "constant_memory": True,  # each text in its cell, not in a part that all sheets share
    "default_date_format": "yyyy-mm-dd",
    # A text is a text, whatever it looks like.
    "strings_to_formulas": False,
    "strings_to_numbers": False,
    "strings_to_urls": False,
}

_HARMFUL = ("=", "+", "-", "@", "\t", "\r", "<r>")
"""How a formula begins, and what XlsxWriter takes for markup and writes as it stands."""

_SHEET = "xl/worksheets/sheet1.xml"

Row = list[Any]


def download(
    *, name: str, file_format: str, resource: "Resource[Any]", items: Iterable[Any]
) -> HttpResponseBase:
    """Return `items`, as `resource` shows them, as a file of `file_format`, one of FORMATS."""
    rows = _rows(resource, items)
    if file_format == "csv":
        content, kind = _csv(rows), "text/csv; charset=utf-8"
    elif file_format == "xlsx":
        content = _xlsx(rows)
        kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    else:
        raise Http404(f"there is no format {file_format!r}")
    return StreamingHttpResponse(
        content,
        content_type=kind,
        headers={"Content-Disposition": f'attachment; filename="{name}.{file_format}"'},
    )


def refusal(*, file_format: str, rows: QuerySet[Any]) -> str | None:
    """Return why a file of `file_format` cannot hold `rows`; None if it can."""
    if file_format == "xlsx" and rows[: MAX_SHEET_ROWS + 1].count() > MAX_SHEET_ROWS:
        return (
            f"A sheet holds {MAX_SHEET_ROWS:,} rows, and there are more: choose fewer days, "
            "or take the CSV."
        )
    return None


def harmless(cell: Any) -> Any:
    """Return `cell` as a spreadsheet will show it: what looks like a formula is led by a quote.

    Ids come from outside, and some programs run what begins like this, whatever the file says.
    So is what would pass for markup of a sheet.
    """
    is_harmful = isinstance(cell, str) and cell.startswith(_HARMFUL)
    return f"'{cell}" if is_harmful else cell


def _rows(resource: "Resource[Any]", items: Iterable[Any]) -> Iterator[Row]:
    """Yield the header, then a row for each item: text, numbers and dates as such."""
    yield resource.get_export_headers()
    items = resource.filter_export(items)  # type: ignore[arg-type]  # any iterable will do
    for item in resource.iter_queryset(items):
        yield [harmless(cell) for cell in resource.export_resource(item, force_native_type=True)]


def _blocks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while block := list(islice(rows, _BLOCK)):
        yield block


def _csv(rows: Iterator[Row]) -> Iterator[bytes]:
    for block in _blocks(rows):
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n").writerows(block)
        yield text.getvalue().encode()


def _xlsx(rows: Iterator[Row]) -> Iterator[bytes]:
    """Yield a workbook. Its sheet is the last part, as the rows are still to come."""
    # A workbook holds the styles that its cells use, so this one has a date.
    frame = _workbook([[date(2000, 1, 1)]], first_row=0)
    archive = ZipStream(compress_type=ZIP_DEFLATED)
    for part in frame.namelist():
        if part != _SHEET:
            archive.add(frame.read(part), part)
    archive.add(_sheet(frame, rows), _SHEET)
    yield from archive


def _sheet(frame: ZipFile, rows: Iterator[Row]) -> Iterator[bytes]:
    """Yield the sheet of `frame` with `rows` in place of its own."""
    before, _, after = _around_rows(frame)
    yield re.sub(rb"<dimension [^>]*>", b"", before)  # it tells readers how many rows there are
    for number, block in enumerate(_blocks(rows)):
        yield _around_rows(_workbook(block, first_row=number * _BLOCK))[1]
    yield after


def _around_rows(book: ZipFile) -> tuple[bytes, bytes, bytes]:
    """Return the sheet of a workbook in three: what comes before its rows, they, and the rest."""
    before, start, rest = book.read(_SHEET).partition(b"<sheetData>")
    rows, end, after = rest.partition(b"</sheetData>")
    return before + start, rows, end + after


def _workbook(rows: Iterable[Row], *, first_row: int) -> ZipFile:
    """Return a workbook of one sheet that holds `rows` from its row `first_row` on."""
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, _WORKBOOK_OPTIONS) as book:
        sheet = book.add_worksheet("Export")
        for number, row in enumerate(rows, first_row):
            if sheet.write_row(number, 0, row):
                raise ValueError(f"row {number:,} has no room in a sheet")
    return ZipFile(file)
