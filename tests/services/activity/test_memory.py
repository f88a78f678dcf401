"""Peak memory does not depend on the size of a file."""

import gzip
import tracemalloc
from datetime import UTC, datetime

import pytest

from rewards.services.activity import reading, rows
from rewards.services.activity.importing import import_activity

HEADER = b"event_id,user_id,kind,occurred_at,duration_seconds\n"


def peak_mb(path):
    """Return the peak memory of an import in megabytes, and its report."""
    tracemalloc.start()
    try:
        report = import_activity(
            path=path, source="app", create_hosts=False, now=datetime(2026, 11, 24, tzinfo=UTC)
        )
        return tracemalloc.get_traced_memory()[1] / 1e6, report
    finally:
        tracemalloc.stop()


@pytest.mark.django_db
def test_memory_for_a_line_of_64_mb_is_limited(tmp_path):
    path = tmp_path / "a.csv.gz"
    # Compressed members are concatenated: 64 MB take 64 kB of disk.
    path.write_bytes(gzip.compress(HEADER) + gzip.compress(b"x" * 2**20) * 64)

    peak, report = peak_mb(path)

    assert report.by_reason == {"line": 1}
    assert peak < 10


@pytest.mark.django_db
@pytest.mark.parametrize(("cell", "category"), [("unknown", "user"), ("é" * 200, "user_id")])
def test_memory_for_rejected_rows_is_limited(cell, category, tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "CHUNK_LINES", 500)
    monkeypatch.setattr(reading, "_BLOCK_BYTES", 10_000)
    path = tmp_path / "a.csv"
    peaks = []
    for number in (1_500, 1_500, 6_000):  # the first import loads modules
        lines = [f"e{n},{cell},login,2026-11-16T12:00:00Z,0\n".encode() for n in range(number)]
        path.write_bytes(HEADER + b"".join(lines))
        peak, report = peak_mb(path)
        assert report.by_reason == {category: number}
        peaks.append(peak)

    assert peaks[2] < 1.2 * peaks[1]
