"""The parameters of an address, and the cursor that leads to the next page of a list."""

from datetime import date, timedelta
from typing import Annotated, Any, TypeVar

from django.core import signing
from django.http import HttpRequest, JsonResponse
from ninja.params.functions import Query
from pydantic import BeforeValidator, TypeAdapter, ValidationError, WithJsonSchema
from pydantic_core import PydanticCustomError

from rewards.api.problems import Refused
from rewards.engine.business_days import FIRST_DAY, FIRST_MONDAY, parse_day
from rewards.engine.periods import MAX_DAYS, require_range
from rewards.exceptions import BadPeriod

MAX_LIMIT = 500
DEFAULT_LIMIT = 100

Key = TypeVar("Key", bound=tuple[Any, ...])


def _business_day(text: Any, *, first: date = FIRST_DAY) -> date:
    try:
        return parse_day(str(text), first=first)
    except ValueError as error:
        raise PydanticCustomError("day", "{sentence}", {"sentence": str(error)}) from error


def _reference_date(text: Any) -> date:
    return _business_day(text, first=FIRST_MONDAY)


def _limit(text: Any) -> int:
    text = str(text)
    if text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= MAX_LIMIT:
        return int(text)
    sentence = f"use a whole number from 1 to {MAX_LIMIT}, in digits 0-9: {text!a:.80}"
    raise PydanticCustomError("limit", "{sentence}", {"sentence": sentence})


BusinessDay = Annotated[date, BeforeValidator(_business_day)]
ReferenceDate = Annotated[date, BeforeValidator(_reference_date)]
From = Annotated[
    ReferenceDate | None, Query(None, alias="from", description="The first reference date.")
]
To = Annotated[
    ReferenceDate | None,
    Query(None, alias="to", description="The last reference date; today if it is left out."),
]
Limit = Annotated[
    int,
    BeforeValidator(_limit),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}),
    # The default of the function alone would be lost: ninja sets it too late for annotations.
    Query(DEFAULT_LIMIT, description="The number of rows of a page."),
]
Cursor = Annotated[
    str, Query("", description="The `next` of the page before; left out for the first page.")
]


def date_range(first: date | None, last: date | None, *, today: date) -> tuple[date, date]:
    """Return the days from `first` to `last`: MAX_DAYS up to today, where they are not given."""
    last = last or today
    first = first or max(FIRST_MONDAY, last - timedelta(days=MAX_DAYS - 1))
    try:
        require_range(first, last)
    except BadPeriod as error:
        raise invalid("from", str(error)) from error
    return first, last


def read_cursor(text: str, key: type[Key], *, of: str) -> Key | None:
    """Return the key in a cursor of the list `of`; None for the first page.

    The cursor is signed for its list, so that one which was made up, changed, or given for
    another list is refused, and so is one whose key had other parts in an older version.
    """
    if not text:
        return None
    try:
        return TypeAdapter(key).validate_python(_signer(of).unsign_object(text))
    except (signing.BadSignature, ValidationError) as error:
        sentence = f"The cursor is not the `next` of a page of this list: {text!a:.80}."
        raise invalid("cursor", sentence) from error


def page_response(page: dict[str, Any], after: Key | None, *, of: str) -> JsonResponse:
    """Return the response with a page of the list `of`; `after` is where the next one begins."""
    return JsonResponse(page | {"next": None if after is None else _cursor(after, of)})


def refuse_other_parameters(request: HttpRequest, *names: str) -> None:
    """Refuse a parameter of the address that is none of `names`, or that is given twice."""
    for name, values in request.GET.lists():
        if name not in names:
            known = f"known: {', '.join(names)}" if names else "this address has none"
            raise invalid(name[:80], f"Unknown parameter {name!a:.80}; {known}.")
        if len(values) > 1:
            raise invalid(name, f"The parameter '{name}' is given {len(values)} times.")


def invalid(parameter: str, sentence: str) -> Refused:
    """Return the refusal of a parameter of the address."""
    return Refused("invalid", sentence, errors=[{"parameter": parameter, "detail": sentence}])


def _cursor(key: tuple[Any, ...], of: str) -> str:
    values = [value.isoformat() if isinstance(value, date) else value for value in key]
    return str(_signer(of).sign_object(values))


def _signer(of: str) -> signing.Signer:
    return signing.Signer(salt=f"rewards.api.cursor:{of}")
