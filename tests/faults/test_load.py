"""The load of tests.load, for as long as a restart of PostgreSQL and a run need."""

import subprocess
import sys

from tests.processes import ROOT


def test_a_short_load_loses_nothing(fault):
    command = [sys.executable, "-m", "tests.load", "--seconds", "12", "--clients", "8"]

    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    fault("F10", "server restarted under a load of the API")

    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    assert "Nothing was lost." in result.stdout
