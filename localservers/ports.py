"""Whether a TCP port of 127.0.0.1 is free, and which process uses it."""

import errno
import os
import socket
from pathlib import Path

_LISTENING = "0A"  # the state in /proc/net/tcp


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True


def listener(port: int) -> str:
    """Return "process PID (COMMAND)" of the listening process, or "another process".

    Only Linux tells, and only about processes of the same user, except to root.
    """
    sockets = _listening_sockets(port)
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(link) in sockets:
                process = link.parents[1]
                command = (process / "cmdline").read_text(errors="replace").replace("\0", " ")
                return f"process {process.name} ({' '.join(command.split()):.100})"
        except OSError:  # the process has ended
            continue
    return "another process"


def _listening_sockets(port: int) -> set[str]:
    """Return the names that the sockets have in /proc/PID/fd."""
    found = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            _, local, _, state, *_rest, inode = line.split()[:10]
            if state == _LISTENING and int(local.rpartition(":")[2], 16) == port:
                found.add(f"socket:[{inode}]")
    return found
