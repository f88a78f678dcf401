"""The bundled sample gives the ledgers that a separate program computed from it."""

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


def set_rules(run=in_process):
    for rule_type, threshold, points in RULES:
        terms = ("--threshold", threshold, "--points", points, "--starts-on", "2004-01-01")
        run("set_rule", rule_type, *terms)


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
@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_days_and_weeks_does_not_matter_nor_how_often(seed, tmp_path):
    in_process("import_activity", SAMPLE, "--create-hosts")
    set_rules()
    jobs = [("award_daily", "--date", day) for day in days_between(FIRST_DAY, LAST_DAY)]
    jobs += [
        ("award_weekly", "--week", monday)
        for monday in days_between(FIRST_MONDAY, LAST_MONDAY, ONE_WEEK)
    ]
    jobs *= 2
    random.Random(seed).shuffle(jobs)

    for job in jobs:
        in_process(*job)

    assert exported(tmp_path) == EXPECTED["UTC"].read_bytes()
    in_process("verify_ledger")


@pytest.mark.django_db
def test_a_file_in_shuffled_pieces_and_then_whole_again_is_the_same_activity(tmp_path):
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


@pytest.mark.parametrize(
    ("hosts", "lines"),
    [
        (7, 70),
        (20_000, 1_000),
    ],
)
def test_the_size_of_batches_does_not_matter(
    hosts, lines, committed, settings, monkeypatch, tmp_path
):
    settings.REWARDS_BATCH_SIZE = hosts
    monkeypatch.setattr(rows, "CHUNK_LINES", lines)

    in_process("import_activity", SAMPLE, "--create-hosts")
    set_rules()
    award_everything()

    assert exported(tmp_path) == EXPECTED["UTC"].read_bytes()
    in_process("verify_ledger")


def test_a_week_with_a_transaction_for_each_host_is_the_same(committed, settings, tmp_path):
    in_process("import_activity", SAMPLE, "--create-hosts")
    set_rules()
    in_process("award_daily", "--from", FIRST_DAY, "--to", "2004-04-25")
    in_process("award_weekly", "--from", FIRST_MONDAY, "--to", "2004-04-19")

    settings.REWARDS_BATCH_SIZE = 1
    in_process("award_daily", "--from", LAST_MONDAY, "--to", LAST_DAY)
    in_process("award_weekly", "--week", LAST_MONDAY)

    assert exported(tmp_path) == EXPECTED["UTC"].read_bytes()
    in_process("verify_ledger")


def test_an_operator_gets_it_from_the_command_line(committed, tmp_path):
    def run(*words):
        assert manage(*map(str, words), "--verbosity", "0") == (0, "", "")

    run("import_activity", SAMPLE, "--create-hosts")
    set_rules(run)
    award_everything(run)
    code, out, err = manage("export_history")

    assert (code, out.encode(), err) == (0, EXPECTED["UTC"].read_bytes(), "")
