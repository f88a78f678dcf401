"""A real server in a temporary folder."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from kombu import Connection
from redis import Redis

from rewards_site import localbroker
from rewards_site.localbroker import LocalBroker, LocalBrokerError

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def broker(tmp_path: Path) -> LocalBroker:
    return LocalBroker(tmp_path / "broker")


def client(broker: LocalBroker) -> Redis:
    return Redis(unix_socket_path=str(broker.home / "socket"))


def test_it_serves_what_its_url_promises_and_ends_with_the_block(broker):
    with broker.running() as server, Connection(broker.url) as connection:
        queue = connection.SimpleQueue("bells")
        queue.put("ring")
        assert queue.get(timeout=5).payload == "ring"
        queue.close()

    assert server.poll() == 0
    assert not (broker.home / "socket").exists()


def test_nobody_else_can_reach_it(broker):
    with broker.running(), client(broker) as redis:
        assert redis.config_get("port") == {"port": "0"}
        assert stat.S_IMODE(broker.home.stat().st_mode) == 0o700
        assert stat.S_IMODE((broker.home / "socket").stat().st_mode) == 0o700


def test_it_drops_no_message_and_leaves_none_behind(broker):
    with broker.running(), client(broker) as redis:
        assert redis.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        redis.set("message", "1")

    with broker.running(), client(broker) as redis:
        assert redis.dbsize() == 0
        assert sorted(path.name for path in broker.home.iterdir()) == ["lock", "log", "socket"]


def test_a_folder_too_deep_for_a_socket_gets_a_short_one(tmp_path, monkeypatch):
    with tempfile.TemporaryDirectory() as short:
        monkeypatch.setattr(localbroker, "SHORT_PARENT", Path(short))
        broker = LocalBroker(tmp_path / ("it's $HOME, " * 10))

        with broker.running(), Connection(broker.url) as connection:
            connection.connect()

        assert broker.home.parent == Path(short)
        assert broker.home.name.startswith(f"rewards-broker-{os.geteuid()}-")


def test_a_path_with_any_signs_will_do():
    with tempfile.TemporaryDirectory() as short:  # pytest's own may be too deep
        folder = Path(short) / 'it\'s #1? "é" %20'

        with LocalBroker(folder).running(), Connection(LocalBroker(folder).url) as connection:
            connection.connect()

            assert LocalBroker(folder).home == folder.resolve()


def test_a_second_one_in_the_same_folder_is_refused(broker):
    with (
        broker.running(),
        pytest.raises(LocalBrokerError, match=r"stop that `manage.py dev` first"),
        broker.running(),
    ):
        pass


def test_the_server_of_a_killed_process_is_replaced(broker):
    script = (
        "import sys, time; from pathlib import Path\n"
        "from rewards_site.localbroker import LocalBroker\n"
        "with LocalBroker(Path(sys.argv[1])).running() as server:\n"
        "    print(server.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(broker.folder)]
    owner = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    orphan = int(owner.stdout.readline())
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    os.kill(orphan, 0)

    with broker.running() as server, client(broker) as redis:
        assert redis.info("server")["process_id"] == server.pid

    deadline = time.monotonic() + 10
    while Path(f"/proc/{orphan}").exists() and "Z" not in Path(f"/proc/{orphan}/stat").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_socket_nobody_serves_is_replaced(broker):
    with broker.running() as server:
        server.kill()
        server.wait()
        (broker.home / "socket").touch()

    with broker.running(), client(broker) as redis:
        assert redis.ping()


def test_a_folder_of_someone_else_is_refused(broker, monkeypatch):
    broker.home.mkdir()
    monkeypatch.setattr(localbroker.os, "geteuid", lambda: 12345)

    with pytest.raises(LocalBrokerError, match="belongs to another user"), broker.running():
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()

    with (
        pytest.raises(LocalBrokerError, match=r"cannot keep its socket in .*file"),
        LocalBroker(tmp_path / "file" / "broker").running(),
    ):
        pass


def test_a_server_that_does_not_start_shows_its_log(broker, monkeypatch):
    monkeypatch.setattr(localbroker, "CONFIGURATION", "no-such-setting 1\n")

    with (
        pytest.raises(LocalBrokerError, match=r"did not start: .*no-such-setting"),
        broker.running(),
    ):
        pass


def test_without_the_wheel_the_server_of_the_system_is_found(tmp_path, monkeypatch):
    (tmp_path / "redis-server").touch(mode=0o755)
    monkeypatch.setattr(localbroker.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert localbroker.find_server() == tmp_path / "redis-server"


def test_without_any_server_both_ways_out_are_named(broker, tmp_path, monkeypatch):
    monkeypatch.setattr(localbroker.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))

    with (
        pytest.raises(LocalBrokerError, match=r"requirements\.txt.*or set CELERY_BROKER_URL"),
        broker.running(),
    ):
        pass
