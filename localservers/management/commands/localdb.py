import json
import os
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from localservers.postgresql.database import LocalDatabase, LocalDatabaseError


class Command(BaseCommand):
    help = "Inspect, stop or open the private database that is used if DATABASE_URL is not set."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "action",
            choices=["status", "stop", "url", "psql"],
            help="url (password included) and psql start the server, status and stop do not",
        )
        parser.add_argument("arguments", nargs="*", help="arguments of psql, after --")
        parser.add_argument("--format", choices=["text", "json"], default="text", dest="form")

    def handle(
        self, *, action: str, arguments: list[str], form: str, verbosity: int, **options: Any
    ) -> None:
        private = settings.DATABASES["default"].get("LOCALDB")
        if private is None:
            raise CommandError(
                "The private database is not in use: DATABASE_URL names another server.",
                returncode=2,
            )
        if arguments and action != "psql":
            raise CommandError(f"{action} takes no arguments, but got: {arguments}.", returncode=2)
        database = LocalDatabase(**private)
        try:
            if action == "psql":
                _become_psql(database, arguments)
            report = {"status": _status, "stop": _stop, "url": _url}[action](database)
        except LocalDatabaseError as error:
            raise CommandError(str(error)) from error
        text = report.pop("text")
        if verbosity > 0:
            self.stdout.write(json.dumps(report) if form == "json" else text)


def _status(database: LocalDatabase) -> dict[str, Any]:
    status = database.status()
    size = f"{status.size_bytes / 1_000_000:.0f} MB"
    if status.running:
        text = f"Running: PostgreSQL {status.version}, {size} in {status.folder}, at {status.url}"
    elif status.version is None:
        text = f"Not created yet: the first command that needs it will create it in {status.folder}"
    else:
        text = f"Not running: PostgreSQL {status.version}, {size} in {status.folder}"
    return asdict(status) | {"folder": str(status.folder), "text": text}


def _stop(database: LocalDatabase) -> dict[str, Any]:
    stopped = database.stop()
    return {"stopped": stopped, "text": "Stopped." if stopped else "It was not running."}


def _url(database: LocalDatabase) -> dict[str, Any]:
    url = database.url()
    return {"url": url, "text": url}


def _become_psql(database: LocalDatabase, arguments: list[str]) -> None:
    """Replace this process by psql. Other users cannot read the password in its environment."""
    server = database.ensure_running()
    program = str(database.psql())
    environment = os.environ | {
        "PGHOST": server["host"],
        "PGPORT": str(server["port"]),
        "PGUSER": server["user"],
        "PGPASSWORD": server["password"],
        "PGDATABASE": server["dbname"],
    }
    try:
        os.execve(program, [program, *arguments], environment)  # noqa: S606 - no shell is wanted
    except FileNotFoundError as error:
        raise CommandError(f"psql is not installed with the server: {program}.") from error
