"""The bundled sample gives the ledgers that an independent program computed."""

import gzip
import random
from datetime import date
from pathlib import Path

import pytest
from django.core.management import call_command

from rewards.engine.business_days import ONE_WEEK, days_between
from rewards.services.activity import rows
from tests.processes import ROOT, manage

SAMPLE = ROOT / "rewards" / "demo" / "collegemsg-2004-04.csv"
EXPECTED = {
    "UTC": ROOT / "tests" / "sample" / "expected-utc.csv",
    "America/Los_Angeles": ROOT / "tests" / "sample" / "expected-los-angeles.csv",
}
RULES = [
    # type, threshold, points
    ("DAILY_LOGIN", 1, 10),
    ("DAILY_AUDIO_CALL_TARGET", 5, 25),
    ("DAILY_VIDEO_CALL_TARGET", 3, 35),
    ("WEEKLY_CONSISTENCY", 5, 100),
]
FIRST_DAY, LAST_DAY = date(2004, 4, 1), date(2004, 5, 2)
FIRST_MONDAY, LAST_MONDAY = date(2004, 3, 29), date(2004, 4, 26)


def in_process(*words):
    call_command(*map(str, words), verbosity=0)


def set_rules():
    for rule_type, threshold, points in RULES:
        values = ("--threshold", threshold, "--points", points, "--starts-on", "2004-01-01")
        in_process("set_rule", rule_type, *values)


def award_everything(run=in_process):
    run("award_daily", "--from", FIRST_DAY, "--to", LAST_DAY)
    run("award_weekly", "--from", FIRST_MONDAY, "--to", LAST_MONDAY)


def exported(folder: Path) -> bytes:
    in_process("export_history", "--output", folder / "history.csv")
    return (folder / "history.csv").read_bytes()


@pytest.mark.django_db
@pytest.mark.parametrize("zone", EXPECTED)
def test_the_sample_gives_the_expected_ledger(zone, settings, tmp_path):
    settings.REWARDS_TIME_ZONE = zone

    in_process("import_activity", SAMPLE, "--create-hosts")
    set_rules()
    award_everything()

    assert exported(tmp_path) == EXPECTED[zone].read_bytes()
    in_process("verify_ledger")


@pytest.mark.django_db
def test_neither_order_nor_repetition_of_runs_matters(tmp_path):
    in_process("import_activity", SAMPLE, "--create-hosts")
    set_rules()
    jobs = [("award_daily", "--date", day) for day in days_between(FIRST_DAY, LAST_DAY)]
    jobs += [
        ("award_weekly", "--week", monday)
        for monday in days_between(FIRST_MONDAY, LAST_MONDAY, ONE_WEEK)
    ]
    jobs *= 2
    random.Random(1).shuffle(jobs)

    for job in jobs:
        in_process(*job)

    assert exported(tmp_path) == EXPECTED["UTC"].read_bytes()
    in_process("verify_ledger")


@pytest.mark.django_db
def test_neither_order_nor_repetition_of_rows_matters(tmp_path):
    header, *lines = SAMPLE.read_bytes().splitlines(keepends=True)
    random.Random(3).shuffle(lines)
    pieces = [tmp_path / f"piece-{number}.csv.gz" for number in range(5)]
    for number, piece in enumerate(pieces):
        piece.write_bytes(gzip.compress(header + b"".join(lines[number::5])))

    in_process("import_activity", *pieces, "--create-hosts")
    in_process("import_activity", SAMPLE)
    set_rules()
    award_everything()

    assert exported(tmp_path) == EXPECTED["UTC"].read_bytes()
    in_process("verify_ledger")


def test_the_batch_size_does_not_matter(committed, settings, monkeypatch, tmp_path):
    monkeypatch.setattr(rows, "CHUNK_LINES", 70)
    in_process("import_activity", SAMPLE, "--create-hosts")
    set_rules()
    sizes = [
        # hosts per batch, first day, last day
        (1, "2004-04-15", "2004-04-15"),
        (7, "2004-04-16", "2004-04-20"),
        (20_000, "2004-04-21", LAST_DAY),
    ]
    for hosts, first, last in sizes:
        settings.REWARDS_BATCH_SIZE = hosts
        in_process("award_daily", "--from", first, "--to", last)
    for hosts, monday in [(20_000, "2004-04-12"), (1, "2004-04-19"), (7, "2004-04-26")]:
        settings.REWARDS_BATCH_SIZE = hosts
        in_process("award_weekly", "--week", monday)

    assert exported(tmp_path) == EXPECTED["UTC"].read_bytes()
    in_process("verify_ledger")


def test_the_commands_give_the_expected_ledger(committed, tmp_path):
    def run(*words):
        assert manage(*map(str, words), "--verbosity", "0") == (0, "", "")

    run("import_activity", SAMPLE, "--create-hosts")
    set_rules()
    award_everything(run)
    code, out, err = manage("export_history")

    assert (code, out.encode(), err) == (0, EXPECTED["UTC"].read_bytes(), "")
