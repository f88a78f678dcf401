"""export_history from the outside."""

import pytest

from tests.factories import ScoreHistoryFactory

HEADER = "user_id,rule_type,reference_date,points\n"


@pytest.fixture
def _ledger(db):
    ScoreHistoryFactory(user__external_id="b")
    ScoreHistoryFactory(
        user__external_id="a", reference_date="2026-11-17", rule__starts_on="2026-01-02"
    )


@pytest.mark.usefixtures("_ledger")
def test_the_ledger_is_printed_sorted(manage):
    assert manage("export_history") == (
        0,
        f"{HEADER}a,DAILY_LOGIN,2026-11-17,10\nb,DAILY_LOGIN,2026-11-16,10\n",
        "",
    )


@pytest.mark.usefixtures("_ledger")
@pytest.mark.parametrize(
    ("words", "users"),
    [
        (("--from", "2026-11-17"), "a"),
        (("--to", "2026-11-16"), "b"),
        (("--from", "2026-11-16", "--to", "2026-11-17"), "ab"),
        (("--to", "2026-11-15"), ""),
    ],
)
def test_a_range_includes_both_its_days(words, users, manage):
    code, out, _ = manage("export_history", *words)

    assert (code, [line[0] for line in out.splitlines()[1:]]) == (0, list(users))


@pytest.mark.django_db
def test_an_empty_ledger_is_a_header(manage):
    assert manage("export_history") == (0, HEADER, "")


@pytest.mark.django_db
@pytest.mark.parametrize("external_id", ["=cmd()", "+15550001111", "-1", "@x", "'+1"])
def test_ids_are_unchanged(external_id, manage):
    """Imported again, an escaped id would be another host."""
    ScoreHistoryFactory(user__external_id=external_id)

    _, out, _ = manage("export_history")

    assert out == f"{HEADER}{external_id},DAILY_LOGIN,2026-11-16,10\n"


@pytest.mark.usefixtures("_ledger")
def test_a_file_is_replaced(manage, tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("of an earlier export")

    assert manage("export_history", "--output", path) == (0, f"Wrote {path}.\n", "")
    assert path.read_text().startswith(HEADER)
    assert manage("export_history", "--output", path, "--verbosity", "0") == (0, "", "")
    assert manage("export_history", "--output", path, "--format", "json") == (
        0,
        f'{{"output": "{path}"}}\n',
        "",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none/history.csv", "No such file or directory"),
        (".", "Is a directory"),
    ],
)
def test_an_error_of_the_file_is_one_sentence(name, reason, manage, tmp_path):
    path = tmp_path / name

    assert manage("export_history", "--output", path) == (
        2,
        "",
        f"CommandError: Cannot write '{path}': {reason}.\n",
    )


def test_a_failed_export_leaves_the_earlier_file(db, manage, tmp_path, monkeypatch):
    path = tmp_path / "history.csv"
    path.write_text("of an earlier export")

    def broken(**kwargs):
        yield b"half of "
        raise KeyboardInterrupt

    monkeypatch.setattr("rewards.management.commands.export_history.ledger_csv", broken)

    code, out, err = manage("export_history", "--output", path)

    assert (code, out, err) == (130, "", "CommandError: Interrupted; safe to run again.\n")
    assert path.read_text() == "of an earlier export"
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]


def test_json_needs_a_file(manage):
    assert manage("export_history", "--format", "json") == (
        2,
        "",
        "CommandError: The export is CSV; use --format json with --output F.\n",
    )
