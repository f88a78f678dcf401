"""End processes together with the process that started them, even when that one is killed.

A guard is a shell that waits at a pipe from its owner. The owner writes a line, or the pipe closes
because the owner has ended, whatever the reason; then the guard does its work.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self


class ProcessGroup:
    """Context manager for processes that outlive neither the block nor this process.

    At the end, the group is killed, with the children of its processes. Ctrl-C does not reach it.
    """

    def __enter__(self) -> Self:
        self._guard = start_guard("kill -KILL 0", process_group=0)
        self._processes: list[subprocess.Popen[Any]] = []
        return self

    def start(self, command: Sequence[str | Path], **options: Any) -> "subprocess.Popen[Any]":
        """Start a program; `options` are those of Popen."""
        process = subprocess.Popen(  # noqa: S603 - the caller's own program, no shell
            command, process_group=self._guard.pid, **options
        )
        self._processes.append(process)
        return process

    def __exit__(self, *error: object) -> None:
        end_guard(self._guard)
        for process in self._processes:
            process.wait()


def start_guard(work: str, *arguments: str, **options: Any) -> "subprocess.Popen[bytes]":
    """Start a shell that runs `work` once this process has ended, or has called end_guard()."""
    return subprocess.Popen(  # noqa: S603 - constants and our own paths
        ["/bin/sh", "-c", f"read -r line; {work}", "localservers-guard", *arguments],
        cwd=Path(__file__).resolve().parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        **options,
    )


def end_guard(guard: "subprocess.Popen[bytes]") -> None:
    """Let a guard do its work, and wait for it."""
    # A line, because a forked child of this process may keep the pipe open.
    guard.communicate(b"\n")
