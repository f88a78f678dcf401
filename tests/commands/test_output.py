"""Output that the terminal or the disk does not take."""

import errno
import os
import subprocess
import sys

import pytest

from rewards.models import ActivityEvent
from tests.processes import ROOT, environment

HEADER = "event_id,user_id,kind,occurred_at,duration_seconds\n"


def run(*arguments, stdout=subprocess.PIPE, **settings):
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(**settings),
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "encoding", "expected"),
    [
        ("\u017c\u00f3\u0142w.csv", "latin-1", b"\\u017c\xf3\\u0142w.csv: "),
        ("\u017c\u00f3\u0142w.csv", "ascii", b"\\u017c\\xf3\\u0142w.csv: "),
        # A name that is no text in any encoding.
        (os.fsdecode(b"\xff.csv"), "utf-8", b"\\udcff.csv: "),
    ],
)
def test_characters_that_the_terminal_lacks_are_escaped(
    name, encoding, expected, committed, tmp_path
):
    file = tmp_path / name
    file.write_text(f"{HEADER}e1,u1,login,2026-11-16T12:00:00Z,0\n")

    done = run("import_activity", str(file), "--create-hosts", PYTHONIOENCODING=encoding)

    assert done.returncode == 0
    assert expected in done.stdout
    assert b": 1 of 1 row stored" in done.stdout
    assert b"Traceback" not in done.stderr
    assert ActivityEvent.objects.count() == 1


@pytest.mark.parametrize(
    "words", [("import_activity", "FILE", "--create-hosts"), ("export_history",), ("runs",)]
)
def test_a_full_disk_under_the_output_is_one_sentence(words, committed, tmp_path):
    file = tmp_path / "a.csv"
    file.write_text(f"{HEADER}e1,u1,login,2026-11-16T12:00:00Z,0\n")
    words = [str(file) if word == "FILE" else word for word in words]
    with open("/dev/full", "wb") as full:
        done = run(*words, stdout=full, LOG_LEVEL="ERROR")

    assert done.stderr == (
        b"CommandError: The output cannot be written: No space left on device. What was stored is "
        b"kept; it is safe to run the command again.\n"
    )
    assert done.returncode == 1
    assert ActivityEvent.objects.count() == (words[0] == "import_activity")


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EPERM, "Operation not permitted"),
        # This file has a name, so it is not the output.
        OSError(errno.ENOSPC, "No space left on device", "/srv/file"),
    ],
)
def test_other_errors_of_the_system_are_not_taken_for_it(error, manage, monkeypatch):
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr("rewards.management.commands.runs.Command.handle", fail)

    with pytest.raises(OSError, match=error.strerror):
        manage("runs")
