"""The planted bugs themselves take minutes; that each can still be planted is seen at once."""

import pytest

from tests.mutations import BUGS, ROOT


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_every_bug_finds_its_place_and_its_tests(bug):
    for path, old, _ in bug.changes:
        assert (ROOT / path).read_text().count(old) == 1
    for test in bug.tests:
        file, _, name = test.partition("::")
        assert f"def {name.partition('[')[0]}" in (ROOT / file).read_text()
