"""Mutation testing takes long; that it finds the tests of each module is checked in every run."""

import tomllib

import pytest

from tests.mutation_testing.mutant import modules, own_tests
from tests.processes import ROOT

FOLDER = ROOT / "tests/mutation_testing"


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_every_module_has_tests():
    found = modules()

    assert "rewards/engine/periods.py" in found
    for module in found:
        assert all((ROOT / tests).exists() for tests in own_tests(module)), module


@pytest.mark.parametrize(
    ("module", "tests"),
    [
        ("rewards/engine/periods.py", "tests/engine/test_periods.py"),
        ("rewards/services/awarding/run.py", "tests/services/awarding/test_run.py"),
        ("rewards/reports/explain/notes.py", "tests/reports/test_explain.py"),
        ("rewards/services/awarding/options.py", "tests/services/awarding"),
    ],
)
def test_a_module_is_tested_by_its_own_tests(module, tests):
    assert own_tests(module) == [tests]


def test_every_accepted_survivor_has_a_reason():
    survivors = tomllib.loads((FOLDER / "survivors.toml").read_text())["survivors"]

    lines = [survivor["line"] for survivor in survivors]
    assert len(set(lines)) == len(lines)
    assert all(survivor["reason"].endswith(".") for survivor in survivors)
