"""`manage.py dev` as a person starts and stops it."""

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

from localservers.broker import LocalBroker
from localservers.temporary import temporary_servers

PROJECT = Path(__file__).resolve().parents[2]


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
    process = subprocess.Popen(
        [sys.executable, "manage.py", "dev", *arguments],
        cwd=PROJECT,
        env=inherited | private | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        bufsize=1,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read_until(process: subprocess.Popen, *patterns: str) -> str:
    """Read lines until each pattern was seen; the test fails when output ends before."""
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


def alive(processes: set[int]) -> set[int]:
    return {each for each in processes if Path(f"/proc/{each}/cmdline").exists()
            and Path(f"/proc/{each}/cmdline").read_bytes()}  # fmt: skip


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_everything_starts_serves_and_stops_together(stop, code, trial):
    with dev(trial, "--port", "0") as process:
        output = read_until(process, *READY)
        url = re.search(r"http://127\.0\.0\.1:\d+/", output)[0]
        with urlopen(url + "admin/login/") as response:  # noqa: S310 - the match is of http
            assert response.status == 200
        started = descendants(process.pid)
        assert len(started) >= 6  # broker; web and its reloader; worker and its children; beat
        process.send_signal(stop)
        rest, _ = process.communicate(timeout=30)

    assert process.returncode == code
    assert alive(started) == set()
    assert "Traceback" not in output + rest
    assert "`manage.py demo`" in output
    assert all(re.match(r"(dev   |web   |worker|beat  ) \| ", line) for line in output.splitlines())


def test_when_one_dies_it_is_named_and_the_others_stop(trial):
    with dev(trial, "--port", "0") as process:
        read_until(process, *READY)
        started = descendants(process.pid)
        beat = next(
            each for each in started if b"\0beat\0" in Path(f"/proc/{each}/cmdline").read_bytes()
        )
        os.kill(beat, signal.SIGKILL)
        rest, _ = process.communicate(timeout=30)

    assert process.returncode == 1
    assert "CommandError: beat was ended by signal 9; the others were stopped." in rest
    assert alive(started) == set()


def test_a_port_in_use_is_said(trial):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with dev(trial, "--port", str(other.getsockname()[1])) as process:
            output, _ = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "web    | Error: That port is already in use." in output
    assert "CommandError: web ended with exit code 1; the others were stopped." in output


def test_a_named_broker_is_used_instead(trial, tmp_path):
    named = LocalBroker(tmp_path / "named")
    with named.running(), dev(trial, "--port", "0", CELERY_BROKER_URL=named.url) as process:
        output = read_until(process, *READY, r"Connected to")
        process.terminate()
        process.communicate(timeout=30)

    assert f"Connected to {named.url}" in output


def test_a_second_one_is_refused(trial):
    with LocalBroker(trial / "broker").running(), dev(trial) as process:
        output, _ = process.communicate(timeout=60)

    assert process.returncode == 1
    assert output.splitlines()[-1] == (
        f"CommandError: Another process is running the private broker in {trial / 'broker'}. "
        "Stop that process, or set CELERY_BROKER_URL."
    )


def test_in_production_it_is_refused(settings):
    settings.DEBUG = False

    with pytest.raises(CommandError, match="dev is for trials, and DEBUG is off") as refused:
        call_command("dev")

    assert refused.value.returncode == 2


@pytest.mark.parametrize("port", ["65536", "-1", "http", "\uff18\uff10", ""])
def test_what_is_no_port_is_refused(port):
    with pytest.raises(CommandError, match="is not a port, 0 to 65535"):
        call_command("dev", f"--port={port}")
