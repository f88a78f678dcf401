"""Downloads of what a list shows, of any length: in bounded memory, safe to open in a spreadsheet.

What a row holds is for a resource of django-import-export to say. Its own way to write a file holds
all of them in memory; here each goes on as it comes: CSV to the reader, and XLSX to a temporary
file, since what a sheet is made of is known at its end only.
"""

import csv
import io
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import xlsxwriter
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpResponseBase, StreamingHttpResponse
from import_export.resources import Resource

MAX_SHEET_ROWS = 1_048_575
"""What a sheet of a spreadsheet holds below its header."""

FORMATS = ("csv", "xlsx")

_BLOCK = 2_000
"""Rows of CSV sent at a time."""

_SHEET_OPTIONS = {
    "constant_memory": True,
    "default_date_format": "yyyy-mm-dd",
    # A text is a text, whatever it looks like.
    "strings_to_formulas": False,
    "strings_to_numbers": False,
    "strings_to_urls": False,
}

Row = list[Any]


def download(
    *, name: str, file_format: str, resource: "Resource[Any]", items: Iterable[Any]
) -> HttpResponseBase:
    """Return `items`, as `resource` shows them, as a file of `file_format`, one of FORMATS."""
    rows = _rows(resource, items)
    if file_format == "csv":
        return StreamingHttpResponse(
            _csv(rows),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
        )
    if file_format == "xlsx":
        return FileResponse(
            _xlsx(rows),
            as_attachment=True,
            filename=f"{name}.xlsx",
            content_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        )
    raise Http404(f"there is no format {file_format!r}")


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
    """
    is_formula = isinstance(cell, str) and cell[:1] in {"=", "+", "-", "@", "\t", "\r"}
    return f"'{cell}" if is_formula else cell


def _rows(resource: "Resource[Any]", items: Iterable[Any]) -> Iterator[Row]:
    """Yield the header, then a row for each item: text, numbers and dates as such."""
    yield resource.get_export_headers()
    items = resource.filter_export(items)  # type: ignore[arg-type]  # any iterable will do
    for item in resource.iter_queryset(items):
        yield [harmless(cell) for cell in resource.export_resource(item, force_native_type=True)]


def _csv(rows: Iterator[Row]) -> Iterator[bytes]:
    while block := list(islice(rows, _BLOCK)):
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n").writerows(block)
        yield text.getvalue().encode()


def _xlsx(rows: Iterator[Row]) -> Any:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
    with xlsxwriter.Workbook(file, _SHEET_OPTIONS) as book:
        sheet = book.add_worksheet("Export")
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
    file.seek(0)
    return file
