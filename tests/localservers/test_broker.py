"""A real server in a temporary folder."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu import Connection
from redis import Redis

from localservers import broker as broker_module
from localservers.broker import LocalBroker, LocalBrokerError
from tests.processes import ROOT, TIMEOUT_SECONDS, is_running, wait_until


@pytest.fixture
def broker(tmp_path: Path) -> LocalBroker:
    return LocalBroker(tmp_path / "broker")


def client(broker: LocalBroker) -> Redis:
    return Redis(unix_socket_path=str(broker.home / "socket"))


def test_the_server_answers_at_its_url_and_ends_with_the_block(broker):
    with broker.running() as server, Connection(broker.url) as connection:
        queue = connection.SimpleQueue("queue")
        queue.put("message")
        assert queue.get(timeout=TIMEOUT_SECONDS).payload == "message"
        queue.close()

    assert server.poll() == 0
    assert not (broker.home / "socket").exists()


def test_other_users_cannot_reach_it(broker):
    with broker.running(), client(broker) as redis:
        assert redis.config_get("port") == {"port": "0"}
        assert stat.S_IMODE(broker.home.stat().st_mode) == 0o700
        assert stat.S_IMODE((broker.home / "socket").stat().st_mode) == 0o700


def test_messages_are_not_evicted_and_not_stored(broker):
    with broker.running(), client(broker) as redis:
        assert redis.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        redis.set("message", "1")

    with broker.running(), client(broker) as redis:
        assert redis.dbsize() == 0
        assert sorted(path.name for path in broker.home.iterdir()) == ["lock", "log", "socket"]


def test_a_path_too_long_for_a_socket_is_replaced(tmp_path, monkeypatch):
    with tempfile.TemporaryDirectory() as short:
        monkeypatch.setattr(broker_module, "SHORT_PARENT", Path(short))
        broker = LocalBroker(tmp_path / ("it's $HOME, " * 10))

        with broker.running(), Connection(broker.url) as connection:
            connection.connect()

        assert broker.home.parent == Path(short)
        assert broker.home.name.startswith(f"localservers-broker-{os.geteuid()}-")


def test_a_path_with_special_characters_works():
    with tempfile.TemporaryDirectory() as short:  # pytest's own may be too long
        folder = Path(short) / 'it\'s #1? "é" %20'

        with LocalBroker(folder).running(), Connection(LocalBroker(folder).url) as connection:
            connection.connect()

            assert LocalBroker(folder).home == folder.resolve()


def test_a_second_server_in_the_same_folder_is_refused(broker):
    with (
        broker.running(),
        pytest.raises(LocalBrokerError, match=r"Another process is running the private broker"),
        broker.running(),
    ):
        pass


@pytest.fixture
def owner(broker) -> Iterator[subprocess.Popen[str]]:
    """A process that runs the server and prints its pid."""
    script = (
        "import sys, time; from pathlib import Path\n"
        "from localservers.broker import LocalBroker\n"
        "with LocalBroker(Path(sys.argv[1])).running() as server:\n"
        "    print(server.pid, flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", script, str(broker.folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        yield owner
        owner.kill()


def test_the_server_of_a_killed_process_ends(broker, owner):
    server = int(owner.stdout.readline())

    owner.kill()

    wait_until(lambda: not is_running(server))
    with broker.running(), client(broker) as redis:
        assert redis.ping()


def test_a_server_whose_guard_was_killed_too_is_replaced(broker, owner):
    orphan = int(owner.stdout.readline())
    guard = os.getpgid(orphan)
    os.kill(guard, signal.SIGKILL)
    owner.kill()
    owner.wait()
    assert is_running(orphan)

    with broker.running() as server, client(broker) as redis:
        assert redis.info("server")["process_id"] == server.pid

    wait_until(lambda: not is_running(orphan))


def test_a_stale_socket_is_replaced(broker):
    with broker.running() as server:
        server.kill()
        server.wait()
        (broker.home / "socket").touch()

    with broker.running(), client(broker) as redis:
        assert redis.ping()


def test_another_users_folder_is_refused(broker, monkeypatch):
    broker.home.mkdir()
    monkeypatch.setattr(broker_module.os, "geteuid", lambda: 12345)

    with pytest.raises(LocalBrokerError, match="belongs to another user"), broker.running():
        pass


def test_a_folder_that_cannot_be_created_is_named(tmp_path):
    (tmp_path / "file").touch()

    with (
        pytest.raises(LocalBrokerError, match=r"cannot create its socket in .*file"),
        LocalBroker(tmp_path / "file" / "broker").running(),
    ):
        pass


def test_a_server_that_does_not_start_shows_its_log(broker, monkeypatch):
    monkeypatch.setattr(broker_module, "CONFIGURATION", "no-such-setting 1\n")

    with (
        pytest.raises(LocalBrokerError, match=r"did not start: .*no-such-setting"),
        broker.running(),
    ):
        pass


def test_without_the_wheel_the_systems_server_is_found(tmp_path, monkeypatch):
    (tmp_path / "redis-server").touch(mode=0o755)
    monkeypatch.setattr(broker_module.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert broker_module.find_server() == tmp_path / "redis-server"


def test_without_any_server_both_remedies_are_named(broker, tmp_path, monkeypatch):
    monkeypatch.setattr(broker_module.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))

    with (
        pytest.raises(LocalBrokerError, match=r"requirements\.txt.*or set CELERY_BROKER_URL"),
        broker.running(),
    ):
        pass
