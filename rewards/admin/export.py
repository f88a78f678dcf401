"""Exports of lists as CSV and XLSX, of any length, safe to open in a spreadsheet."""

import csv
import io
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from typing import IO, Any

import xlsxwriter
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpResponseBase, StreamingHttpResponse
from import_export.resources import Resource

MAX_SHEET_ROWS = 1_048_575
"""Rows that a sheet of a spreadsheet holds below its header."""

FORMATS = ("csv", "xlsx")

CSV_BLOCK_ROWS = 2_000

_WORKBOOK_OPTIONS = {
    "constant_memory": True,
    "default_date_format": "yyyy-mm-dd",
    # A text stays a text, whatever it looks like.
    "strings_to_formulas": False,
    "strings_to_numbers": False,
    "strings_to_urls": False,
}

_FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r", "<r>")
"""The beginnings of a formula, and of markup that XlsxWriter writes unescaped."""


def streamed_export(
    *, name: str, file_format: str, resource: "Resource[Any]", items: Iterable[Any]
) -> HttpResponseBase:
    """Return `items`, as `resource` shows them, as a file of `file_format`, one of FORMATS.

    CSV is sent while the rows are read. XLSX is written to a temporary file first, with constant
    memory. Raises Http404 for another format.
    """
    rows = _rows(resource, items)
    file_name = f"{name}.{file_format}"
    if file_format == "csv":
        return StreamingHttpResponse(
            _csv_blocks(rows),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{file_name}"'},
        )
    if file_format == "xlsx":
        return FileResponse(_workbook(rows), as_attachment=True, filename=file_name)
    raise Http404(f"There is no format {file_format!r}.")


def export_limit_error(*, file_format: str, rows: QuerySet[Any]) -> str | None:
    """Return why a file of `file_format` cannot hold `rows`; None if it can."""
    if file_format == "xlsx" and rows[: MAX_SHEET_ROWS + 1].count() > MAX_SHEET_ROWS:
        return (
            f"A sheet holds {MAX_SHEET_ROWS:,} rows, and there are more; choose fewer days, or "
            "export CSV."
        )
    return None


def escape_formula(cell: Any) -> Any:
    """Return `cell`, with an apostrophe before a text that a spreadsheet would run or interpret."""
    is_formula = isinstance(cell, str) and cell.startswith(_FORMULA_PREFIXES)
    return f"'{cell}" if is_formula else cell


def _rows(resource: "Resource[Any]", items: Iterable[Any]) -> Iterator[list[Any]]:
    """Yield the header, then a row of texts, numbers and dates for each item."""
    yield resource.get_export_headers()
    items = resource.filter_export(items)  # type: ignore[arg-type]  # any iterable will do
    for item in resource.iter_queryset(items):
        yield [
            escape_formula(cell) for cell in resource.export_resource(item, force_native_type=True)
        ]


def _workbook(rows: Iterator[list[Any]]) -> IO[bytes]:
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile())
        with xlsxwriter.Workbook(file, _WORKBOOK_OPTIONS) as workbook:
            sheet = workbook.add_worksheet("Export")
            for number, row in enumerate(rows):
                if sheet.write_row(number, 0, row):
                    raise ValueError(f"Row {number:,} does not fit in a sheet.")
        file.seek(0)
        stack.pop_all()  # the response closes the file
        return file


def _csv_blocks(rows: Iterator[list[Any]]) -> Iterator[bytes]:
    while block := list(islice(rows, CSV_BLOCK_ROWS)):
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n").writerows(block)
        yield text.getvalue().encode()
