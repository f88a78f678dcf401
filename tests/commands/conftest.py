from collections.abc import Callable
from datetime import UTC, datetime
from typing import cast

import django
import pytest
from django.core.management import execute_from_command_line
from django.db import connections
from django.utils import timezone

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
"""A Tuesday at three in the morning: the clock of all commands in these tests."""


@pytest.fixture
def manage(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs a command like manage.py: exit code, output, error output."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    # Django is set up already; a second setup would log to this test's error output.
    monkeypatch.setattr(django, "setup", lambda: None)
    # Commands close their connections: here, the one with the test's transaction.
    monkeypatch.setattr(connections, "close_all", lambda: None)

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = 0
        try:
            execute_from_command_line(["manage.py", *map(str, words)])
        except SystemExit as end:
            code = cast(int, end.code)
        return (code, *capsys.readouterr())

    return run
