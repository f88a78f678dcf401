"""The command `manage.py localdb`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

from tests.processes import ROOT


@pytest.fixture
def status(monkeypatch, capsys):
    """Return a function that runs `localdb status` on a folder and returns its output."""

    def run(folder: Path, **options) -> tuple[str, str]:
        private = {"folder": str(folder), "name": "trial"}
        monkeypatch.setitem(settings.DATABASES["default"], "LOCALDB", private)
        call_command("localdb", "status", **options)
        return capsys.readouterr()

    return run


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=inherited | {"DJANGO_SETTINGS_MODULE": "rewards_site.settings"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_with_a_database_url_nothing_is_created(folder):
    result = manage(
        "localdb",
        "status",
        DATABASE_URL="postgres://somebody@db.invalid/elsewhere",
        DEBUG="1",
        LOCALDB_DIR=str(folder / "db"),
    )

    assert result.stdout == ""
    assert result.stderr.strip() == (
        "CommandError: The private database is not in use: DATABASE_URL names another server."
    )
    assert result.returncode == 2
    assert not (folder / "db").exists()


def test_status_creates_nothing(folder, status):
    out, err = status(folder / "db")

    assert out.startswith("Not created yet")
    assert err == ""
    assert not (folder / "db").exists()


def test_status_shows_the_address_without_the_password(database, status):
    out, err = status(database.folder, form="json")

    report = json.loads(out)
    assert report["running"] is True
    assert report["folder"] == str(database.cluster.home)
    assert report["url"].startswith("postgres://trial@127.0.0.1:")
    assert report["url"].endswith("/trial")
    assert report["size_bytes"] > 1_000_000
    assert err == ""


def test_status_at_verbosity_0_prints_nothing(database, status):
    assert status(database.folder, verbosity=0) == ("", "")


def test_psql_opens_the_database_and_stop_stops_its_server(folder):
    environment = {"LOCALDB_DIR": str(folder), "LOCALDB_DURABLE": "false"}

    query = manage("localdb", "psql", "--", "-XAtc", "SELECT current_user", **environment)
    stops = [manage("localdb", "stop", **environment).stdout for _ in range(2)]

    assert (query.stdout, query.stderr, query.returncode) == ("rewards\n", "", 0)
    assert stops == ["Stopped.\n", "It was not running.\n"]
