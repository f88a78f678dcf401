"""The checks of `.ci/run`, the GitHub workflow and the configuration agree."""

import re
import subprocess
import tomllib

from tests.processes import ROOT, TIMEOUT_SECONDS

GATE = (ROOT / ".ci/run").read_text()
WORKFLOW = (ROOT / ".github/workflows/tests.yml").read_text()
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def default_parts():
    return re.search(r"\|\| set -- (.+)", GATE)[1].split()


def test_each_part_of_the_gate_is_part_of_a_job():
    jobs = re.findall(r"- run: \.ci/run (.+)", WORKFLOW)

    assert len(jobs) == 3
    assert sorted(" ".join(jobs).split()) == sorted(default_parts())


def test_the_gate_runs_what_a_plain_pytest_leaves_out():
    options = PYPROJECT["tool"]["pytest"]["ini_options"]["addopts"]
    left_out = set(re.findall(r"not (\w+)", " ".join(options)))

    assert left_out
    assert left_out <= set(default_parts())


def test_the_gate_refuses_an_unknown_part():
    command = [ROOT / ".ci/run", "quick", "slow"]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS
    )

    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == (
        "Unknown part slow; use checks, quick, faults, browser or benchmarks.\n"
    )


def test_the_oldest_python_is_the_same_everywhere():
    oldest = re.search(r'python: \["([0-9.]+)"', WORKFLOW)[1]

    assert PYPROJECT["tool"]["mypy"]["python_version"] == oldest
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py{oldest.replace('.', '')}"
    assert f"Python {oldest} or newer" in GATE
    assert f"Python {oldest} or newer" in (ROOT / "README.md").read_text()


def test_the_project_does_not_claim_to_be_a_package():
    """It runs from its checkout: the settings, the templates and `.env` are found there."""
    assert "project" not in PYPROJECT
