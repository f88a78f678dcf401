"""Huge and false bodies against a real server of the API: refused in bounded memory."""

import gzip
import json
import re
import socket
import threading
from contextlib import closing
from pathlib import Path

import pytest

from rewards.models import ActivityEvent
from tests.factories import ApiKeyFactory, key_text
from tests.processes import start, wait_until

MAX_GROWTH_MB = 40
"""Memory of a worker while it refuses a body of a gigabyte; a request takes a few."""


class ApiServer:
    """gunicorn as in production, with one worker, on a socket."""

    def __init__(self, path, key):
        self.path = path
        self.key = key
        self.process = start(
            ["-m", "gunicorn", "rewards_site.wsgi", "--bind", f"unix:{path}",
             "--workers", "1", "--threads", "4"],
            REWARDS_SERVE="api",
        )  # fmt: skip
        wait_until(lambda: path.exists() and self.post(b"{}")[0] == 422)

    def worker(self):
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        (worker,) = children.split()
        return worker

    def peak_mb(self):
        status = Path(f"/proc/{self.worker()}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1_000

    def post(self, body, *, length=None, times=1, **headers):
        """Send `body` so many times; return status, headers and problem, while it is sent."""
        headers = {"content-type": "application/json", "connection": "close", **headers}
        if "transfer-encoding" not in headers:
            headers["content-length"] = str(len(body) * times if length is None else length)
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = (
            f"POST /api/v1/events HTTP/1.1\r\nhost: localhost\r\n"
            f"authorization: Bearer {key_text(self.key)}\r\n{head}\r\n"
        )
        with closing(socket.socket(socket.AF_UNIX)) as connection:
            try:
                connection.connect(str(self.path))
            except OSError:
                return 0, {}
            connection.settimeout(60)
            connection.sendall(request.encode())
            sender = threading.Thread(target=_send, args=[connection, body, times])
            sender.start()
            answer = b""
            try:
                while piece := connection.recv(65_536):
                    answer += piece
            except ConnectionResetError:
                pass  # the answer came before the body was taken
            sender.join()
        status, _, rest = answer.partition(b"\r\n")
        return int(status.split()[1]), json.loads(rest.partition(b"\r\n\r\n")[2] or b"{}")


def _send(connection, body, times):
    try:
        for _ in range(times):
            connection.sendall(body)
    except OSError:
        pass  # the server has closed it


@pytest.fixture
def server(transactional_db, tmp_path):
    server = ApiServer(tmp_path / "socket", ApiKeyFactory())
    yield server
    server.process.terminate()
    server.process.wait()


def test_a_body_of_a_gigabyte_is_not_kept_in_memory(server):
    before = server.peak_mb()

    status, found = server.post(b" " * 10**6, times=1_000)

    assert (status, found["type"]) == (413, "urn:rewards:problem:too-large")
    assert server.peak_mb() - before < MAX_GROWTH_MB
    assert server.post(b'{"events": []}')[0] == 422  # it serves on


def test_a_gigabyte_in_chunks_is_not_kept_in_memory(server):
    before = server.peak_mb()
    chunk = b"f4240\r\n" + b" " * 10**6 + b"\r\n"

    status, found = server.post(chunk, times=1_000, **{"transfer-encoding": "chunked"})

    assert (status, found["type"]) == (411, "urn:rewards:problem:length-required")
    assert server.peak_mb() - before < MAX_GROWTH_MB
    assert server.post(b'{"events": []}')[0] == 422


def test_a_gzip_bomb_is_not_opened(server):
    before = server.peak_mb()
    bomb = gzip.compress(b" " * 10**8)

    status, found = server.post(bomb, **{"content-encoding": "gzip"})

    assert (status, found["type"]) == (415, "urn:rewards:problem:unsupported-media-type")
    assert server.peak_mb() - before < MAX_GROWTH_MB


def test_a_body_that_ends_early_stores_nothing(server):
    with closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.connect(str(server.path))
        connection.sendall(
            b"POST /api/v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-length: 400\r\n"
            b"content-type: application/json\r\n"
            b"authorization: Bearer " + key_text(server.key).encode() + b"\r\n\r\n"
            b'{"events": []}'
        )

    assert server.post(b'{"events": []}')[0] == 422
    assert not ActivityEvent.objects.exists()


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"events": NaN}', b'{"events": [], "events": []}', b'{"events": "\xff"}'],
    ids=["levels", "NaN", "a key twice", "not UTF-8"],
)
def test_no_bad_body_shows_a_traceback(server, body):
    status, found = server.post(body)

    assert (status, found["type"]) == (400, "urn:rewards:problem:bad-json")
    assert "Traceback" not in str(found)
