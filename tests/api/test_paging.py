"""The parameters of an address, and the cursors of lists."""

import json
from datetime import UTC, date, datetime
from typing import NamedTuple
from urllib.parse import quote

import pytest
from django.test import RequestFactory
from django.utils import timezone

from rewards.api.paging import date_range, page_response, read_cursor, refuse_other_parameters
from rewards.api.problems import Refused
from tests.api.conftest import problem_of
from tests.factories import HostFactory

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
TODAY = NOW.date()

LISTS = ["/hosts/ana/awards", "/runs", "/runs/1/awards", "/leaderboard?week=2026-11-09"]
DATED = ["/hosts/ana/awards", "/runs"]


@pytest.fixture(autouse=True)
def ana(db, monkeypatch):
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    return HostFactory(external_id="ana")


def refusal(api, address, query):
    """Return the parameter that is refused, and the sentence."""
    separator = "&" if "?" in address else "?"
    problem = problem_of(api.get(f"/api/v1{address}{separator}{query}"), 422, "invalid")
    (part,) = problem["errors"]
    assert part["detail"] == problem["detail"]
    assert problem["detail"].count("\n") == 0
    return part["parameter"], problem["detail"]


# --- Limits and dates -------------------------------------------------------------------------


@pytest.mark.parametrize("address", LISTS)
@pytest.mark.parametrize(
    "limit", ["", "0", "501", "-1", "+1", "1.5", "1e2", "1_0", "٣", "x", "\0", " 1", "9" * 100_000]
)
def test_a_bad_limit_is_refused(api, address, limit):
    parameter, sentence = refusal(api, address, f"limit={quote(limit)}")

    assert parameter == "limit"
    assert sentence.startswith("Bad limit: use a whole number from 1 to 500, in digits 0-9: '")
    assert len(sentence) < 160


@pytest.mark.parametrize("address", DATED)
@pytest.mark.parametrize("limit", ["1", "007", "500"])
def test_a_limit_is_accepted(api, address, limit):
    assert api.get(f"/api/v1{address}?limit={limit}").status_code == 200


@pytest.mark.parametrize("address", DATED)
@pytest.mark.parametrize("name", ["from", "to"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "The date is empty; use YYYY-MM-DD"),
        ("2026-2-3", "Not a date of the form YYYY-MM-DD: '2026-2-3'"),
        ("2026-02-30", "No such day: '2026-02-30'"),
        ("2025-02-29", "No such day: '2025-02-29'; 2025 is not a leap year"),
        ("1999-12-26", "1999-12-26 is before the ledger's start 2000-01-01"),
        ("2100-01-01", "Year must be 2000-2099: '2100-01-01'"),
        ("20260203", "Not a date of the form YYYY-MM-DD: '20260203'"),
        ("２０２６-02-03", r"Not a date of the form YYYY-MM-DD: '\uff12\uff10\uff12\uff16-02-03'"),
        ("2026-02-03\n", r"Not a date of the form YYYY-MM-DD: '2026-02-03\n'"),
        ("\0", r"Not a date of the form YYYY-MM-DD: '\x00'"),
        ("1" * 100_000, f"Not a date of the form YYYY-MM-DD: '{'1' * 79}"),
    ],
)
def test_a_bad_date_is_refused(api, address, name, text, reason):
    assert refusal(api, address, f"{name}={quote(text)}") == (name, f"Bad {name}: {reason}.")


@pytest.mark.parametrize("address", DATED)
@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        (
            "from=2026-11-19&to=2026-11-18",
            "The range is reversed: 2026-11-19 is after 2026-11-18.",
        ),
        ("from=2026-11-19", "The range is reversed: 2026-11-19 is after 2026-11-18."),
        (
            "from=2025-10-14&to=2026-11-18",
            "The range is too long: 401 days, at most 400.",
        ),
    ],
)
def test_a_bad_range_is_refused(api, address, query, sentence):
    assert refusal(api, address, query) == ("from", sentence)


def test_a_range_ends_today_and_has_400_days():
    first = date(2025, 10, 15)

    assert date_range(None, None, today=TODAY) == (first, TODAY)
    assert date_range(first, None, today=TODAY) == (first, TODAY)
    assert date_range(None, first, today=TODAY) == (date(2024, 9, 11), first)
    assert date_range(first, first, today=TODAY) == (first, first)
    assert date_range(None, date(2000, 1, 2), today=TODAY) == (date(1999, 12, 27), date(2000, 1, 2))


# --- Other parameters -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "known"),
    [
        ("/hosts/ana", "this address has none"),
        ("/hosts/ana/awards", "known: from, to, cursor, limit"),
        ("/hosts/ana/explanation?date=2026-11-16", "known: date"),
        ("/leaderboard?week=2026-11-09", "known: week, cursor, limit"),
        ("/runs", "known: from, to, cursor, limit"),
        ("/runs/1", "this address has none"),
        ("/runs/1/awards", "known: cursor, limit"),
    ],
)
def test_an_unknown_parameter_is_refused(api, address, known):
    assert refusal(api, address, "form=1") == ("form", f"Unknown parameter 'form'; {known}.")


@pytest.mark.parametrize("address", LISTS)
def test_a_parameter_given_twice_is_refused(api, address):
    sentence = "The parameter 'limit' is given 2 times."

    assert refusal(api, address, "limit=1&limit=2") == ("limit", sentence)


def test_a_long_name_of_a_parameter_is_cut(api):
    name = "\0" + "x" * 100_000

    parameter, sentence = refusal(api, "/runs", f"{quote(name)}=1")

    assert parameter == name[:80]
    assert len(sentence) < 160


def test_the_document_lists_the_parameters_that_are_accepted(api):
    """What an address says it knows is what its operation declares."""
    paths = api.get("/api/v1/openapi.json").json()["paths"]
    for address in ("/hosts/{user_id}/awards", "/hosts/{user_id}", "/runs", "/leaderboard"):
        operation = paths[f"/api/v1{address}"]["get"]
        declared = [part["name"] for part in operation["parameters"] if part["in"] == "query"]
        known = ", ".join(declared)
        query = "week=2026-11-09" if address == "/leaderboard" else ""

        _, sentence = refusal(api, address.format(user_id="ana"), f"{query}&form=1")

        assert sentence == (
            f"Unknown parameter 'form'; {f'known: {known}' if known else 'this address has none'}."
        )


def test_other_parameters_are_refused_without_a_database():
    request = RequestFactory().get("/?limit=1")
    refuse_other_parameters(request, "limit")

    with pytest.raises(Refused):
        refuse_other_parameters(request)


# --- Cursors ----------------------------------------------------------------------------------


class Place(NamedTuple):
    day: date
    name: str
    number: int


PLACE = Place(TODAY, "ana/\x1b[1m", 2**60)


def cursor_of(place, of="a list"):
    return json.loads(page_response({}, place, of=of).content)["next"]


def test_a_cursor_leads_back_to_its_place():
    assert read_cursor(cursor_of(PLACE), Place, of="a list") == PLACE
    assert read_cursor("", Place, of="a list") is None
    assert cursor_of(None) is None


def test_a_cursor_is_safe_in_an_address():
    cursor = cursor_of(PLACE)

    assert quote(cursor, safe="-_:.") == cursor


@pytest.mark.parametrize("address", LISTS)
@pytest.mark.parametrize("cursor", ["x", "x:y:z", ":", "\0", "é", "x" * 100_000, "another list's"])
def test_a_cursor_that_is_not_of_the_list_is_refused(api, address, cursor):
    cursor = cursor_of(PLACE) if cursor == "another list's" else cursor

    parameter, sentence = refusal(api, address, f"cursor={quote(cursor)}")

    assert parameter == "cursor"
    assert sentence.startswith("The cursor is not the `next` of a page of this list: '")
    assert len(sentence) < 140


def test_a_changed_cursor_is_refused():
    cursor = cursor_of(PLACE)

    for position in range(len(cursor)):
        other = "A" if cursor[position] != "A" else "B"
        changed = cursor[:position] + other + cursor[position + 1 :]
        with pytest.raises(Refused):
            read_cursor(changed, Place, of="a list")


def test_a_cursor_of_an_older_version_is_refused():
    """Its key may have had other parts."""
    for place in [(TODAY, "ana"), (*PLACE, 1), ("today", "ana", 1)]:
        with pytest.raises(Refused, match=r"^The cursor is not the `next`"):
            read_cursor(cursor_of(place), Place, of="a list")
