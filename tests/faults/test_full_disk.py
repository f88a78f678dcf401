"""On a full disk a job writes nothing by half; it completes once there is room."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.databases import RECOVERABLE, Server
from tests.faults.jobs import AWARD_DAILY, IMPORT_ACTIVITY
from tests.faults.test_server_refusals import assert_failed_with_one_sentence


@pytest.fixture
def small_disk(server: Server, folder: Path) -> Iterator[Path]:
    """A disk of one MiB with the tablespace `small` on it."""
    disk = folder / "small"
    disk.mkdir(exist_ok=True)
    mount = ["/bin/mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk, and not in every container")
    try:
        space = disk / "space"
        space.mkdir()
        owner = server.local.cluster.data.stat()
        os.chown(space, owner.st_uid, owner.st_gid)
        with server.admin() as admin:
            admin.execute(f"CREATE TABLESPACE small LOCATION '{space}'".encode())
        yield disk
        with server.admin() as admin:
            admin.execute("DROP TABLESPACE small")
    finally:
        subprocess.run(["/bin/umount", disk], check=True)


def fill(file: Path) -> None:
    """Write to `file` until its disk is full."""
    with file.open("wb", buffering=0) as full:
        try:
            while True:
                full.write(bytes(4096))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


@pytest.mark.parametrize(
    ("job", "table"),
    [(AWARD_DAILY, "rewards_scorehistory"), (IMPORT_ACTIVITY, "rewards_activityevent")],
    ids=str,
)
def test_a_job_on_a_full_disk_writes_nothing_by_half(job, table, small_disk, golden_of, fault):
    golden = golden_of(job)
    with golden.before.server.copy(golden.before) as database:
        # Few rows in a page, so that any further row needs a new page.
        database.execute(f"ALTER TABLE {table} SET (fillfactor = 10), SET TABLESPACE small")
        before = database.state()
        fill(small_disk / "filler")
        outcome = database.manage(*golden.argv, **job.settings)
        fault("F12", f"disk full: {job}", outcome.err.count("No space left on device") > 0)

        assert_failed_with_one_sentence(outcome, codes={1, 4})
        assert "No space left on device" in outcome.err
        after = database.state()
        assert (after.activity, after.events) == (before.activity, before.events)
        assert after.ledger == before.ledger
        # A run without a written batch still moves the scores to its day.
        assert [row[:2] for row in after.scores] == [row[:2] for row in before.scores]
        assert database.violations() <= RECOVERABLE

        (small_disk / "filler").unlink()
        database.prepare(*golden.argv, **job.settings)
        assert (database.violations(), database.state()) == (set(), golden.state)
