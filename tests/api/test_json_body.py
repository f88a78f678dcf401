"""Bodies: bounded, and strict JSON. Nothing of a bad one reaches an endpoint."""

import gzip
import io
import json

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.test import Client

from rewards.api.json_body import MAX_BODY_BYTES, read_json
from rewards.api.problems import Refused
from tests.api.conftest import problem_of

pytestmark = [pytest.mark.urls("tests.api.frame"), pytest.mark.django_db]

ADDRESSES = ["/api/v1/items", "/api/v1/raw"]
"""An endpoint that declares its body, and one that reads it."""


@pytest.fixture(params=ADDRESSES)
def post(request):
    def send(body, content_type="application/json", **headers):
        client = Client(raise_request_exception=False)
        return client.generic("POST", request.param, body, content_type, headers=headers)

    return send


def test_json_in_utf_8_is_read(post):
    body = json.dumps({"items": [{"kind": "\xe9\u20ac", "seconds": 1}]}, ensure_ascii=False)

    assert post(body.encode()).status_code == 200
    assert post(body.encode(), "application/json; charset=UTF-8").status_code == 200


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"items": [', "The body is not JSON: Expecting value at line 1, column 12."),
        (b'{"items": [1,]}', "The body is not JSON: "),
        (b"not JSON", "The body is not JSON: Expecting value at line 1, column 1."),
        (b"\n\n{]", "The body is not JSON: "),
        (b'{"items": NaN}', "The body has NaN, which is not a JSON number."),
        (b'{"items": [-Infinity]}', "The body has -Infinity, which is not a JSON number."),
        (b'{"a": 1, "a": 2}', "The body has the key 'a' twice in an object."),
        (b'[{"b": {"a": 1, "\\u0061": 2}}]', "The body has the key 'a' twice in an object."),
        (b"[" * 100_000, "The body is nested too deep."),
        (b"[" * 100_000 + b"]" * 100_000, "The body is nested too deep."),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "The body is nested too deep."),
        (b'{"items": ["a\\u0000b"]}', "A text of the body has a NUL."),
        (b'{"\\u0000": 1}', "A text of the body has a NUL."),
        (b'{"items": "a\0b"}', "The body is not JSON: Invalid control character"),
        (b'{"items": "\xff"}', "The body is not UTF-8 at byte 12."),
        ('{"items": "\xe9"}'.encode("latin-1"), "The body is not UTF-8 at byte 12."),
        ('{"items": []}'.encode("utf-16"), "The body is not UTF-8 at byte 1."),
        (b'{"items": "\\ud800"}', "A text of the body has half of a surrogate pair."),
        (b'{"items": ' + b"1" * 5_000 + b"}", "A number of the body is too long."),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_bad_json_is_refused_with_its_reason(post, body, detail):
    found = problem_of(post(body), 400, "bad-json")

    assert found["detail"].startswith(detail)


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
     "application/json; charset=latin-1", "application/jsonp", ""],
)  # fmt: skip
def test_another_content_type_is_refused(post, content_type):
    problem_of(post(b'{"items": []}', content_type), 415, "unsupported-media-type")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, identity"])
def test_a_compressed_body_is_refused(post, encoding):
    body = gzip.compress(b'{"items": []}')

    found = problem_of(post(body, **{"content-encoding": encoding}), 415, "unsupported-media-type")

    assert found["detail"].startswith("Bad Content-Encoding ")


def test_a_body_of_the_largest_size_is_read(post):
    filler = b" " * (MAX_BODY_BYTES - len(b'{"items": []}'))

    assert post(b'{"items": []}' + filler).status_code == 200


def test_one_byte_more_is_too_large(post):
    filler = b" " * (MAX_BODY_BYTES - len(b'{"items": []}') + 1)

    found = problem_of(post(b'{"items": []}' + filler), 413, "too-large")

    assert found["detail"] == "The body has more than 524,288 bytes."


class Endless(io.RawIOBase):
    """A body without end that counts what is read of it."""

    def __init__(self):
        self.bytes_read = 0

    def read(self, size=-1):
        assert size >= 0, "It would be read to its end."
        self.bytes_read += size
        return b" " * size


def wsgi_request(body, **environ):
    return WSGIRequest(
        {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/api/v1/raw",
            "CONTENT_TYPE": "application/json",
            "wsgi.input": body,
            **environ,
        }
    )


def test_nothing_is_read_of_a_body_of_a_gigabyte():
    body = Endless()

    with pytest.raises(Refused) as refusal:
        read_json(wsgi_request(body, CONTENT_LENGTH=str(10**9)))

    assert refusal.value.slug == "too-large"
    assert body.bytes_read == 0


def test_no_more_is_read_than_a_body_may_have():
    body = Endless()
    request = wsgi_request(body, CONTENT_LENGTH="1")
    request._stream = body  # as from a server that has not limited it

    with pytest.raises(Refused) as refusal:
        read_json(request)

    assert refusal.value.slug == "too-large"
    assert body.bytes_read <= MAX_BODY_BYTES + 1


def test_a_body_that_ends_early_is_refused():
    with pytest.raises(Refused) as refusal:
        read_json(wsgi_request(io.BytesIO(b'{"items": []}'), CONTENT_LENGTH="400"))

    assert refusal.value.slug == "bad-request"
    assert str(refusal.value) == "The body ended after 13 bytes."


def test_a_body_in_chunks_needs_a_length():
    with pytest.raises(Refused) as refusal:
        read_json(wsgi_request(Endless(), HTTP_TRANSFER_ENCODING="chunked"))

    assert refusal.value.slug == "length-required"
