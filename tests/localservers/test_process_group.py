"""Processes end with the block, or with the process that started them, however that ends."""

import signal
import subprocess
import sys

from localservers.process_group import ProcessGroup
from tests.processes import ROOT, is_running, wait_until

PARENT_AND_CHILD = ["/bin/sh", "-c", "sleep 600 & echo $! $$; wait"]


def pids(process: subprocess.Popen[str]) -> list[int]:
    assert process.stdout is not None
    return [int(pid) for pid in process.stdout.readline().split()]


def test_the_block_ends_its_processes_and_their_children():
    with ProcessGroup() as group:
        process = group.start(PARENT_AND_CHILD, stdout=subprocess.PIPE, text=True)
        started = pids(process)
        assert all(map(is_running, started))

    assert process.returncode == -signal.SIGKILL
    wait_until(lambda: not any(map(is_running, started)))
    process.stdout.close()


def test_a_killed_owner_takes_its_processes_along():
    script = (
        "import sys; from localservers.process_group import ProcessGroup\n"
        "with ProcessGroup() as group:\n"
        "    group.start(sys.argv[1:]).wait()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", script, *PARENT_AND_CHILD],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    started = pids(owner)
    assert all(map(is_running, started))

    owner.kill()

    wait_until(lambda: not any(map(is_running, started)))
    owner.communicate()


def test_a_signal_to_the_owners_group_does_not_reach_them():
    """As Ctrl-C in a terminal, which the owner handles by stopping them in order."""
    script = (
        "import os, signal, sys; from localservers.process_group import ProcessGroup\n"
        "signal.signal(signal.SIGINT, lambda *args: None)\n"
        "with ProcessGroup() as group:\n"
        "    process = group.start(['/bin/sh', '-c', 'echo ready; read line; echo done'],\n"
        "                          stdin=-1, stdout=-1, text=True)\n"
        "    process.stdout.readline()\n"
        "    os.killpg(0, signal.SIGINT)\n"
        "    print(process.communicate('line')[0], end='')"
    )

    owner = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )

    assert (owner.stdout, owner.stderr) == ("done\n", "")
