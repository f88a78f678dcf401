"""`manage.py dev`, as a person starts and stops it."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
from django.core.management import CommandError, call_command

from localservers import ports
from localservers.broker import LocalBroker
from localservers.process_group import ProcessGroup
from localservers.temporary import temporary_servers
from tests.processes import ROOT, is_running, wait_until


@pytest.fixture(scope="module")
def trial() -> Iterator[Path]:
    """The folder of the private servers, with its database migrated."""
    with temporary_servers(prefix="dev-test-") as folder:
        yield folder


@contextmanager
def dev(trial: Path, *arguments: str, **environment: str) -> Iterator[subprocess.Popen]:
    inherited = {
        key: value
        for key, value in os.environ.items()
        if key not in {"DATABASE_URL", "CELERY_BROKER_URL"}
    }
    private = {
        "DJANGO_SETTINGS_MODULE": "rewards_site.settings",
        "LOCALDB_DIR": str(trial),
        "LOCALDB_DURABLE": "false",
    }
    with (
        ProcessGroup() as group,
        group.start(
            [sys.executable, "manage.py", "dev", *arguments],
            cwd=ROOT,
            env=inherited | private | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen, *patterns: str) -> str:
    """Read lines until each pattern has matched; fail if the output ends before."""
    seen = ""
    for line in process.stdout or ():
        seen += line
        if all(re.search(pattern, seen) for pattern in patterns):
            return seen
    raise AssertionError(seen)


READY = (r"web +\| .*http://127\.0\.0\.1:\d+/", r"worker \| .* ready\.", r"beat +\| .*Starting")


def descendants(process: int) -> set[int]:
    found = set()
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        for child in children.read_text().split():
            found |= {int(child)} | descendants(int(child))
    return found


def serve_and_stop(process: subprocess.Popen, stop: signal.Signals) -> tuple[str, set[int]]:
    """Request a page, then stop `dev`; return all of its output and the pids of its processes."""
    output = read_until(process, *READY)
    url, *_ = re.findall(r"http://127\.0\.0\.1:\d+/", output)
    with urlopen(url + "admin/login/") as response:  # noqa: S310 - the match is of http
        assert response.status == 200
    with urlopen(url + "api/v1/openapi.json") as response:  # noqa: S310 - the match is of http
        assert response.status == 200
    started = descendants(process.pid)
    process.send_signal(stop)
    rest, _ = process.communicate()
    assert not any(map(is_running, started))
    assert "Traceback" not in output + rest
    return output + rest, started


def test_everything_starts_serves_and_stops_together(trial):
    with dev(trial, "--port", "0") as process:
        output, started = serve_and_stop(process, signal.SIGINT)

    assert process.returncode == 130
    # broker and its guard; web and its reloader; worker and its two children; beat; their guard
    assert len(started) >= 9
    assert "There are no hosts yet: `manage.py demo` creates some." in output
    assert "Nobody can sign in yet: `manage.py demo` creates an admin user" in output
    assert all(re.match(r"(dev   |web   |worker|beat  ) \| ", line) for line in output.splitlines())


def test_a_named_broker_is_used_instead(trial, tmp_path):
    named = LocalBroker(tmp_path / "named")
    options = ["--port", "0", "--noreload"]
    with named.running(), dev(trial, *options, CELERY_BROKER_URL=named.url) as process:
        output, started = serve_and_stop(process, signal.SIGTERM)

    assert process.returncode == 143
    assert len(started) == 6
    assert f"Connected to {named.url}" in output


def test_if_a_program_dies_it_is_named_and_the_others_stop(trial):
    with dev(trial, "--port", "0", "--noreload") as process:
        read_until(process, *READY)
        started = descendants(process.pid)
        beat = next(
            pid for pid in started if b"\0beat\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
        )
        os.kill(beat, signal.SIGKILL)
        rest, _ = process.communicate()

    assert process.returncode == 1
    assert "CommandError: beat was ended by signal 9; the others were stopped." in rest
    assert not any(map(is_running, started))


def test_a_killed_dev_leaves_no_process_and_its_port_free(trial):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with dev(trial, "--port", str(port)) as process:
        read_until(process, *READY)
        started = descendants(process.pid)
        assert not ports.is_free(port)

        process.kill()

        wait_until(lambda: not any(map(is_running, started)))
    assert ports.is_free(port)
    with LocalBroker(trial / "broker").running():
        pass


def test_a_port_in_use_is_refused_at_once_with_its_process(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with dev(tmp_path / "trial", "--port", str(port)) as process:
            output, _ = process.communicate()

    assert process.returncode == 1
    assert output.startswith(f"CommandError: Port {port} is in use by process {os.getpid()} (")
    assert output.endswith("). Stop it or choose another port with --port.\n")
    assert not (tmp_path / "trial").exists()


def test_a_second_one_is_refused(trial):
    with LocalBroker(trial / "broker").running(), dev(trial, "--port", "0") as process:
        output, _ = process.communicate()

    assert process.returncode == 1
    assert output.splitlines()[-1] == (
        f"CommandError: Another process is running the private broker in {trial / 'broker'}. "
        "Stop that process, or set CELERY_BROKER_URL."
    )


def test_a_database_that_is_down_is_one_sentence(trial):
    url = "postgres://someone@127.0.0.1:1/rewards"
    with dev(trial, "--port", "0", DATABASE_URL=url, DEBUG="true") as process:
        output, _ = process.communicate()

    assert process.returncode == 1
    assert output.startswith("CommandError: Cannot reach the database at 127.0.0.1:1: ")
    assert output.count("\n") == 1


def test_in_production_it_is_refused(settings):
    settings.DEBUG = False

    with pytest.raises(CommandError, match="dev is for trials, and DEBUG is off") as refused:
        call_command("dev")

    assert refused.value.returncode == 2


@pytest.mark.parametrize("port", ["65536", "-1", "http", "\uff18\uff10", ""])
def test_what_is_no_port_is_refused(port):
    with pytest.raises(CommandError, match="is not a port, 0 to 65535"):
        call_command("dev", f"--port={port}")
