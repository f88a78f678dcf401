import socket
import subprocess
import sys

import pytest

from localservers import ports
from localservers.process_group import ProcessGroup


@pytest.mark.parametrize("host", ["127.0.0.1", "::"])
def test_a_listening_port_is_not_free(host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    is_ipv6 = family == socket.AF_INET6
    with socket.create_server((host, 0), family=family, dualstack_ipv6=is_ipv6) as server:
        assert not ports.is_free(server.getsockname()[1])


def test_a_port_without_listener_is_free():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    assert ports.is_free(port)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_listener_is_named_by_pid_and_command(host):
    script = (
        "import socket, sys, time\n"
        "family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET\n"
        "with socket.create_server((sys.argv[1], 0), family=family) as server:\n"
        "    print(server.getsockname()[1], flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", script, host]
    with ProcessGroup() as group:
        server = group.start(command, stdout=subprocess.PIPE, text=True)
        port = int(server.stdout.readline())

        name = ports.listener(port)
    server.stdout.close()

    assert name.startswith(f"process {server.pid} ({sys.executable} -c import socket, sys, time ")
    assert len(name) < 130
    assert "\n" not in name


def test_an_unknown_listener_has_no_name():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))

        assert ports.listener(bound.getsockname()[1]) == "another process"
