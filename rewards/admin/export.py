"""Downloads of what a list shows, of any length: streamed, and safe to open in a spreadsheet.

Both writers take rows from an iterator and hold a block of them at a time. The XLSX one is here
because openpyxl takes minutes for a million rows, and a file of five fixed parts takes seconds.
"""

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import islice
from typing import Any
from xml.sax.saxutils import escape

from django.http import Http404, HttpResponseBase, StreamingHttpResponse

Row = Sequence[str | int | date]

MAX_SHEET_ROWS = 1_048_575
"""What a sheet of a spreadsheet holds below its header."""

FORMATS = ("csv", "xlsx")

_BLOCK = 2_000
"""Rows written at a time."""


def download(*, name: str, file_format: str, header: Row, rows: Iterable[Any]) -> HttpResponseBase:
    """Return `rows` as a file of `file_format`, which is one of FORMATS."""
    if file_format == "csv":
        content, kind = _csv(header, rows), "text/csv; charset=utf-8"
    elif file_format == "xlsx":
        content = _xlsx(header, rows)
        kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    else:
        raise Http404(f"there is no format {file_format!r}")
    answer = StreamingHttpResponse(content, content_type=kind)
    answer["Content-Disposition"] = f'attachment; filename="{name}.{file_format}"'
    return answer


def harmless(text: str) -> str:
    """Return `text` as a spreadsheet will show it: what looks like a formula is led by a quote.

    Ids come from outside, and some programs run what begins like this, whatever the file says.
    """
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def _blocks(header: Row, rows: Iterable[Row]) -> Iterator[list[Row]]:
    rest = iter(rows)
    yield [header, *islice(rest, _BLOCK)]
    while block := list(islice(rest, _BLOCK)):
        yield block


def _csv(header: Row, rows: Iterable[Row]) -> Iterator[bytes]:
    for block in _blocks(header, rows):
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n").writerows(
            [harmless(cell) if isinstance(cell, str) else cell for cell in row] for row in block
        )
        yield text.getvalue().encode()


# --- XLSX -------------------------------------------------------------------------------------

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPES = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_SHEET = "xl/worksheets/sheet1.xml"

_PARTS = {
    "[Content_Types].xml": (
        f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPES}.sheet.main+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{_TYPES}.styles+xml"/>'
        f'<Override PartName="/{_SHEET}" ContentType="{_TYPES}.worksheet+xml"/>'
        "</Types>"
    ),
    "_rels/.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" '
        f'Type="{_RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
    ),
    "xl/workbook.xml": (
        f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets>'
        '<sheet name="Export" sheetId="1" r:id="rId1"/></sheets></workbook>'
    ),
    "xl/_rels/workbook.xml.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_RELATIONS}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="rId2" Type="{_RELATIONS}/styles" Target="styles.xml"/>'
        "</Relationships>"
    ),
    # Style 0 is none, and 1 a date.
    "xl/styles.xml": (
        f'<styleSheet xmlns="{_MAIN}">'
        '<numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd"/></numFmts>'
        '<fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts>'
        '<fills count="1"><fill><patternFill patternType="none"/></fill></fills>'
        '<borders count="1"><border/></borders>'
        '<cellStyleXfs count="1"><xf/></cellStyleXfs>'
        '<cellXfs count="2"><xf/><xf numFmtId="164" applyNumberFormat="1"/></cellXfs>'
        '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>'
        "</styleSheet>"
    ),
}

_DAY_ZERO = date(1899, 12, 30).toordinal()
"""From which spreadsheets count their days."""


class _Drain(io.RawIOBase):
    """A file to write to whose content is taken out from time to time."""

    def __init__(self) -> None:
        super().__init__()
        self._content = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._content += data
        return len(data)

    def take(self) -> bytes:
        content = bytes(self._content)
        self._content.clear()
        return content


def _xlsx(header: Row, rows: Iterable[Row]) -> Iterator[bytes]:
    drain = _Drain()
    with zipfile.ZipFile(drain, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path, xml in _PARTS.items():
            archive.writestr(path, xml)
        with archive.open(_SHEET, "w") as sheet:
            sheet.write(f'<worksheet xmlns="{_MAIN}"><sheetData>'.encode())
            for block in _blocks(header, rows):
                sheet.write("".join(map(_xlsx_row, block)).encode())
                yield drain.take()
            sheet.write(b"</sheetData></worksheet>")
    yield drain.take()


def _xlsx_row(row: Row) -> str:
    return f"<row>{''.join(map(_xlsx_cell, row))}</row>"


def _xlsx_cell(cell: str | int | date) -> str:
    if isinstance(cell, str):
        text = escape(harmless(cell))
        return f'<c t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'
    if isinstance(cell, date):
        return f'<c s="1"><v>{cell.toordinal() - _DAY_ZERO}</v></c>'
    return f"<c><v>{cell}</v></c>"
