"""A file of any shape is read in the same memory."""

import gzip
import os

from rewards.models import ActivityEvent
from rewards.services.activity.importing import CHUNK_LINES
from tests.processes import start

HEADER = b"event_id,user_id,kind,occurred_at,duration_seconds\n"
MEGABYTE = gzip.compress(b"x" * 2**20)


def row(event_id):
    return f"{event_id},u1,login,2026-11-16T12:00:00Z,0\n".encode()


def import_and_measure(path, *options):
    """Return the exit code of importing a file, what was printed, and the memory in megabytes."""
    with start(["manage.py", "import_activity", str(path), *options]) as process:
        out, _ = process.stdout.read(), process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, out, usage.ru_maxrss / 1024


def test_a_line_of_a_gigabyte_takes_no_more_memory_than_a_short_one(committed, tmp_path):
    short, long = tmp_path / "short.csv", tmp_path / "long.csv.gz"
    short.write_bytes(HEADER + row("e1"))
    # Members of gzip follow each other: a gigabyte on a megabyte of disk.
    long.write_bytes(gzip.compress(HEADER) + MEGABYTE * 1024 + gzip.compress(b"\n" + row("e2")))

    _, _, little = import_and_measure(short, "--create-hosts")
    code, out, much = import_and_measure(long, "--create-hosts")

    assert (code, "1 of 2 rows stored, 1 rejected (line 1)" in out) == (4, True)
    assert ActivityEvent.objects.count() == 2
    assert much - little < 30


def test_rows_of_nobody_take_little_more_memory_than_good_ones(committed, tmp_path):
    short, unknown = tmp_path / "short.csv", tmp_path / "unknown.csv"
    short.write_bytes(HEADER + row("e1"))
    rows = 2 * CHUNK_LINES
    with unknown.open("wb") as file:
        file.write(HEADER)
        file.writelines(row(f"{'e' * 100}{n}").replace(b"u1", b"u" * 100) for n in range(rows))

    _, _, little = import_and_measure(short)
    code, out, much = import_and_measure(unknown, "--format", "json")

    assert (code, f'"rejected": {rows}' in out) == (4, True)
    assert much - little < 100
