"""Read the body of a request: bounded, and strict JSON."""

import json
import re
from collections import Counter
from typing import Any, NoReturn, cast

from django.http import HttpRequest
from ninja.parser import Parser
from ninja.types import DictStrAny

from rewards.api.problems import Refused

MAX_BODY_BYTES = 524_288

# Neither can be written in JSON but as an escape.
_UNSTORABLE_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_SURROGATE = re.compile("[\ud800-\udfff]")


class StrictParser(Parser):
    """The parser of bodies that an endpoint declares as an argument."""

    def parse_body(self, request: HttpRequest) -> DictStrAny:
        return cast(DictStrAny, read_json(request))


def read_json(request: HttpRequest) -> Any:
    """Return the JSON value of the body. Raises Refused.

    It has no key twice, no NaN or Infinity, and no character that PostgreSQL cannot store.
    """
    text = read_text(request)
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise _bad_json(
            f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None
    except RecursionError:
        raise _bad_json("The body is nested too deep.") from None
    except ValueError:
        raise _bad_json("A number of the body is too long.") from None
    if _UNSTORABLE_ESCAPE.search(text) and (problem := _unstorable(value)):
        raise _bad_json(f"A text of the body has {problem}.")
    return value


def read_text(request: HttpRequest) -> str:
    """Return the text of the body, which says that it is JSON. Raises Refused.

    A body that is too large is not read.
    """
    _require_json(request)
    body = _read(request)
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise _bad_json(f"The body is not UTF-8 at byte {error.start + 1}.") from None


def _require_json(request: HttpRequest) -> None:
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        raise Refused(
            "unsupported-media-type",
            f"Bad Content-Encoding {encoding!a:.80}: send the body uncompressed.",
        )
    charset = (request.content_params or {}).get("charset", "utf-8")
    if request.content_type != "application/json" or charset.lower() != "utf-8":
        sent = request.headers.get("Content-Type", "")
        raise Refused(
            "unsupported-media-type",
            f"Bad Content-Type {sent!a:.80}: use application/json in UTF-8.",
        )


def _read(request: HttpRequest) -> bytes:
    if "Transfer-Encoding" in request.headers:
        # WSGI gives the application no end of such a body.
        raise Refused("length-required", "Send the body with a Content-Length, not in chunks.")
    declared = int(request.headers.get("Content-Length") or 0)  # the server has checked the digits
    if declared <= MAX_BODY_BYTES:
        body = request.body if hasattr(request, "_body") else request.read(MAX_BODY_BYTES + 1)
        if len(body) < declared:
            raise Refused("bad-request", f"The body ended after {len(body):,} bytes.")
        if len(body) <= MAX_BODY_BYTES:
            return body
    raise Refused("too-large", f"The body has more than {MAX_BODY_BYTES:,} bytes.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        ((key, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise _bad_json(f"The body has the key {key[:80]!a:.80} twice in an object.")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise _bad_json(f"The body has {name}, which is not a JSON number.")


def _unstorable(value: object) -> str:
    """Return what PostgreSQL cannot store of the texts of `value`; else an empty text."""
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            if "\0" in item:
                return "a NUL"
            if _SURROGATE.search(item):
                return "half of a surrogate pair"
        elif isinstance(item, dict):
            left += item.keys()
            left += item.values()
        elif isinstance(item, list):
            left += item
    return ""


def _bad_json(detail: str) -> Refused:
    return Refused("bad-json", detail)
