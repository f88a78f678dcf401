"""docs/integration.md: its examples run, and its sentences are those of the engine."""

import json
import os
import re
import shutil
import socketserver
import subprocess
import sys
import threading
from collections import Counter

import pytest

from rewards.models import ActivityEvent, DailyActivity, Host
from rewards.services.activity.reading import COLUMNS
from rewards.services.host_import import import_hosts
from rewards.services.ingest import ingest_events
from tests.factories import ApiClientFactory, ApiKeyFactory, HostFactory, key_text
from tests.processes import ROOT, TIMEOUT_SECONDS
from tests.services.test_ingest import NOW

PAGE = (ROOT / "docs/integration.md").read_text()


def block(language):
    """Return the only example of the page in a language."""
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)
    return text


@pytest.fixture
def run(live_server):
    """Return a function that runs a program which knows the server and a key."""
    HostFactory(external_id="ana")
    key = ApiKeyFactory(client=ApiClientFactory(source="app"))
    settings = {"REWARDS_URL": live_server.url, "REWARDS_KEY": key_text(key)}

    def start(*program, **kwargs):
        ended = subprocess.run(
            program,
            env=os.environ | settings,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
            **kwargs,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return start


def stored():
    rows = ActivityEvent.objects.order_by("event_id")
    return list(rows.values_list("source", "event_id", "user__external_id", "kind"))


def test_the_curl_example_stores_its_events(run):
    answer = json.loads(run("/bin/sh", "-c", block("sh")))

    assert answer == {"stored": 2, "duplicates": 0, "problems": [], "awards": []}
    assert stored() == [
        ("app", "call-81734", "ana", "audio_call"),
        ("app", "login:ana:2026-11-18", "ana", "login"),
    ]


def test_the_python_example_stores_its_events_once(run):
    for _ in range(2):
        run(sys.executable, "-c", block("python"))

    kinds = Counter(ActivityEvent.objects.values_list("kind", flat=True))
    # The second call has another time, so it is a conflict, unless the day has changed.
    assert kinds["video_call"] == 1
    assert kinds["login"] in {1, 2}
    login = ActivityEvent.objects.filter(kind="login").first()
    assert login.event_id == f"login:ana:{login.business_date}"
    assert DailyActivity.objects.filter(logins=1, video_calls=1, video_seconds=65).exists()


ANSWER = b'{"stored": 2, "duplicates": 0, "problems": [], "awards": []}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
REPLIES = {
    "nothing": b"",
    "half a status": b"HTTP",
    "half a head": HEAD[:40],
    "half a body": HEAD + b"Content-Length: 60\r\n\r\n" + ANSWER[:30],
    "half a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n3c\r\n" + ANSWER[:30],
    "half a body without its length": HEAD + b"\r\n" + ANSWER[:30],
}


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
def test_the_python_example_repeats_after_a_cut_reply(reply):
    bodies = []

    class CutsItsFirstReply(socketserver.StreamRequestHandler):
        def handle(self):
            length = 0
            while (line := self.rfile.readline().strip()) != b"":
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            bodies.append(self.rfile.read(length))
            self.wfile.write(reply if len(bodies) == 1 else HEAD + b"\r\n" + ANSWER)

    with socketserver.TCPServer(("127.0.0.1", 0), CutsItsFirstReply) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        ended = subprocess.run(
            [sys.executable, "-c", block("python")],
            env=os.environ | {"REWARDS_URL": url, "REWARDS_KEY": "rwd_x"},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        server.shutdown()

    assert ended.returncode == 0, ended.stderr
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]


NODE_DRIVER = """
import { login, call, send } from "./rewards.mjs";
const at = new Date("2026-11-18T23:30:00Z");
const events = [login("ana", at), call("c1", "ana", "audio_call", at, 65)];
const first = await send(events);
const again = await send(events);
const refused = await send([]).catch((error) => error.type);
console.log(JSON.stringify([first, again, refused]));
"""


def test_the_node_example_stores_its_events_once(run, tmp_path):
    text = block("js")
    # Without Node, what the example sends is still what is accepted.
    for name in COLUMNS:
        assert re.search(rf"^  {name}: ", text, re.M) or name == "kind"
    if shutil.which("node") is None:
        return
    (tmp_path / "rewards.mjs").write_text(text)
    (tmp_path / "driver.mjs").write_text(NODE_DRIVER)

    first, again, refused = json.loads(run("node", "driver.mjs", cwd=tmp_path))

    assert (first["stored"], again["duplicates"]) == (2, 2)
    assert refused == "urn:rewards:problem:invalid"
    assert stored() == [
        ("app", "c1", "ana", "audio_call"),
        ("app", "login:ana:2026-11-18", "ana", "login"),
    ]


def test_the_node_example_has_forty_lines_at_most():
    assert len([line for line in block("js").splitlines() if line]) <= 40


@pytest.mark.django_db
def test_each_reason_on_the_page_is_the_one_given():
    HostFactory(external_id="u1")
    good = {"event_id": "e", "user_id": "u1", "kind": "login", "occurred_at": "2026-11-18T09:03Z"}
    rows = re.findall(r"^\| `\{(.*), \.\.\.\}` \| `(\w+)` \| (.*) \|$", PAGE, re.M)
    assert len(rows) == 12
    events = [
        good | {"event_id": f"e{number}"} | json.loads(f"{{{example}}}")
        for number, (example, _, _) in enumerate(rows)
    ]

    report = ingest_events(events=events, source="app", creates_hosts=False, now=NOW)

    assert [(problem.part, problem.reason) for problem in report.problems] == [
        (part, reason) for _, part, reason in rows
    ]


@pytest.mark.django_db
def test_the_file_of_hosts_on_the_page_is_imported(tmp_path):
    path = tmp_path / "hosts.csv"
    path.write_text(block("csv"))

    assert import_hosts(path=path, now=NOW).created == 2
    assert set(Host.objects.values_list("external_id", "first_name")) == {
        ("ana", "Ana"),
        ("bea", "Bea"),
    }
