"""Planting the bugs takes minutes; that each can be planted is checked in every run."""

import pytest

from tests.mutations import BUGS, ROOT, main


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_has_its_place_and_its_tests(bug):
    for path, old, new in bug.changes:
        assert (ROOT / path).read_text().count(old) == 1
        assert old != new
    for test in bug.tests:
        file, _, name = test.partition("::")
        assert (ROOT / file).exists()
        assert not name or f"def {name.partition('[')[0]}(" in (ROOT / file).read_text()


def test_the_bugs_are_listed(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["mutations", "--list", "same", "facts"])

    assert main() == 0

    assert capsys.readouterr().out == (
        "a paid host hides unpaid ones with the same facts: "
        "tests/services/awarding/test_ledger.py\n"
    )
