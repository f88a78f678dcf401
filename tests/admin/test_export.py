import csv
import io
import tracemalloc
import warnings
from datetime import date, datetime
from typing import NamedTuple

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from import_export.fields import Field
from import_export.resources import Resource
from import_export.widgets import DateWidget, IntegerWidget
from openpyxl import load_workbook

from rewards.admin import export
from rewards.choices import RuleType
from rewards.models import AwardRun, ScoreHistory
from tests.factories import A_MONDAY, HostFactory, RewardRuleFactory, ScoreHistoryFactory

HEADER = ["reference_date", "user_id", "rule_type", "points", "measured", "threshold"]
FORMULAE = ["=1+1", "+1", "-1", "@SUM(A1)"]


class Thing(NamedTuple):
    day: date
    text: str
    number: int


class ThingResource(Resource):
    day = Field("day", "day", widget=DateWidget())
    text = Field("text", "text")
    number = Field("number", "number", widget=IntegerWidget())


def downloaded(file_format, things):
    """Yield the blocks of an export."""
    answer = export.streamed_export(
        name="things", file_format=file_format, resource=ThingResource(), items=things
    )
    yield from answer
    for close in answer._resource_closers:  # answer.close() would close the connection too
        close()


def ledger(file_format):
    return reverse("admin:rewards_scorehistory_export", args=[file_format])


def read_csv(answer):
    return list(csv.reader(io.StringIO(answer.getvalue().decode())))


def read_xlsx(content, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a part that a reader would have to guess at
        book = load_workbook(io.BytesIO(content), **options)
    return [[cell.value for cell in row] for row in book.active.rows]


@pytest.fixture
def awards(login):
    """Two awards of one day, and one of another day and rule; a viewer is logged in."""
    login("Viewer")
    video = RewardRuleFactory(rule_type=RuleType.DAILY_VIDEO_CALL_TARGET, threshold=3, points=40)
    logins = RewardRuleFactory(threshold=1, points=10)
    first, second = HostFactory(external_id="h-1"), HostFactory(external_id="h-2")
    ScoreHistoryFactory(user=first, rule=logins)
    ScoreHistoryFactory(user=second, rule=logins)
    ScoreHistoryFactory(user=first, rule=video, measured=4, reference_date=date(2026, 11, 17))


def test_the_ledger_is_exported_as_the_list_shows_it(client, awards):
    answer = client.get(ledger("csv"))

    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"].startswith('attachment; filename="awards-')
    assert read_csv(answer) == [
        HEADER,
        ["2026-11-17", "h-1", "DAILY_VIDEO_CALL_TARGET", "40", "4", "3"],
        ["2026-11-16", "h-2", "DAILY_LOGIN", "10", "1", "1"],
        ["2026-11-16", "h-1", "DAILY_LOGIN", "10", "1", "1"],
    ]


def test_a_sheet_holds_numbers_and_dates_as_such(client, awards):
    rows = read_xlsx(client.get(ledger("xlsx")).getvalue())

    assert rows[:2] == [
        HEADER,
        [datetime(2026, 11, 17), "h-1", "DAILY_VIDEO_CALL_TARGET", 40, 4, 3],  # noqa: DTZ001 - sheets know no zones
    ]
    assert len(rows) == 4


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"q": "h-2"}, {"h-2"}),
        ({"rule_type__exact": "DAILY_VIDEO_CALL_TARGET"}, {"h-1"}),
        ({"reference_date_from": "2026-11-17"}, {"h-1"}),
        ({"reference_date_to": "2026-11-15"}, set()),
    ],
)
def test_an_export_keeps_to_the_filters(client, awards, query, expected):
    _, *rows = read_csv(client.get(ledger("csv"), query))

    assert {row[1] for row in rows} == expected


@pytest.mark.parametrize("query", [{"q": "nobody"}, {"reference_date_from": "2026-02-30"}])
def test_an_export_of_nothing_leads_back_to_the_list(client, awards, query):
    page = client.get(ledger("csv"), query, follow=True)

    assert page.redirect_chain
    assert len(page.context["messages"]) == 1


def test_more_rows_than_a_sheet_holds_are_refused(client, awards, monkeypatch):
    monkeypatch.setattr(export, "MAX_SHEET_ROWS", 3)
    assert len(read_xlsx(client.get(ledger("xlsx")).getvalue())) == 1 + 3
    monkeypatch.setattr(export, "MAX_SHEET_ROWS", 2)

    page = client.get(ledger("xlsx"), follow=True)

    assert page.redirect_chain
    assert "A sheet holds 2 rows" in page.content.decode()
    assert len(read_csv(client.get(ledger("csv")))) == 1 + 3


@pytest.mark.parametrize("file_format", export.FORMATS)
def test_an_export_reads_only_its_columns(client, awards, file_format):
    with CaptureQueriesContext(connection) as queries:
        client.get(ledger(file_format)).getvalue()

    (*_, rows) = [query["sql"] for query in queries if ScoreHistory._meta.db_table in query["sql"]]
    assert AwardRun._meta.db_table not in rows
    assert "password" not in rows


def test_another_format_is_not_found(client, awards):
    assert client.get(ledger("pdf")).status_code == 404


@pytest.mark.parametrize("external_id", [*FORMULAE, "<r>&</r>", "<r></sheetData></r>"])
def test_a_host_cannot_inject_a_formula_or_markup(client, login, external_id):
    login("Viewer")
    ScoreHistoryFactory(user=HostFactory(external_id=external_id))

    assert read_csv(client.get(ledger("csv")))[1][1] == f"'{external_id}"
    assert read_xlsx(client.get(ledger("xlsx")).getvalue())[1][1] == f"'{external_id}"


@pytest.mark.parametrize("text", ["\t=1", "\r=1", *FORMULAE])
def test_a_formula_is_escaped(text):
    assert export.escape_formula(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "h-1", "a=b", " =1", "'=1"])
def test_other_text_is_not_escaped(text):
    assert export.escape_formula(text) == text


@pytest.mark.parametrize("text", ["<b>&", '"a,b"', "]]>", "häuser", "http://a.b", "007"])
def test_text_is_exported_unchanged(text):
    things = [Thing(A_MONDAY, text, 1)]

    sheet = read_xlsx(b"".join(downloaded("xlsx", things)))
    table = list(csv.reader(io.StringIO(b"".join(downloaded("csv", things)).decode())))

    assert sheet == [["day", "text", "number"], [datetime(2026, 11, 16), text, 1]]  # noqa: DTZ001 - sheets know no zones
    assert table[1] == [str(A_MONDAY), text, "1"]


def test_a_control_character_does_not_break_a_sheet():
    things = [Thing(A_MONDAY, "a\x01b", 1), Thing(A_MONDAY, "c", 2)]

    sheet = read_xlsx(b"".join(downloaded("xlsx", things)))

    assert [row[2] for row in sheet] == ["number", 1, 2]
    assert sheet[2][1] == "c"


@pytest.mark.parametrize("how", [{}, {"read_only": True}])
@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_file_has_a_row_for_each_item(monkeypatch, number, how):
    monkeypatch.setattr(export, "CSV_BLOCK_ROWS", 2)
    things = [Thing(A_MONDAY, f"host-{n}", n) for n in range(number)]

    table = list(csv.reader(io.StringIO(b"".join(downloaded("csv", things)).decode())))
    sheet = read_xlsx(b"".join(downloaded("xlsx", things)), **how)

    assert table == [
        ["day", "text", "number"],
        *([str(A_MONDAY), f"host-{n}", str(n)] for n in range(number)),
    ]
    assert sheet == [
        ["day", "text", "number"],
        *([datetime(2026, 11, 16), f"host-{n}", n] for n in range(number)),  # noqa: DTZ001 - sheets know no zones
    ]


def test_csv_is_sent_while_its_rows_are_read():
    left = 50_000

    def things():
        nonlocal left
        while left:
            left -= 1
            yield Thing(A_MONDAY, "host", 10)

    next(downloaded("csv", things()))

    assert 0 < left < 50_000


def test_a_row_beyond_the_end_of_a_sheet_is_an_error(monkeypatch):
    monkeypatch.setattr(export.xlsxwriter.worksheet.Worksheet, "write_row", lambda *_: -1)

    with pytest.raises(ValueError, match="Row 0 does not fit in a sheet"):
        list(downloaded("xlsx", []))


@pytest.mark.parametrize("file_format", export.FORMATS)
def test_memory_does_not_grow_with_the_rows(file_format, monkeypatch):
    monkeypatch.setattr(export, "CSV_BLOCK_ROWS", 200)

    def peak(number):
        things = (Thing(A_MONDAY, f"host-{n}", 10) for n in range(number))
        tracemalloc.start()
        for _ in downloaded(file_format, things):
            pass
        _, found = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return found

    peak(1)  # what is imported and cached once
    small, large = peak(1_000), peak(5_000)

    assert large < small * 1.2
