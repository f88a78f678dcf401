import json
import os
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from rewards_site.localdb import LocalDatabase, LocalDatabaseError


class Command(BaseCommand):
    help = "Look at, stop or enter the private database that is used when DATABASE_URL is unset."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "action",
            choices=["status", "stop", "url", "psql"],
            help="status and stop start nothing; url (with its password) and psql start the server",
        )
        parser.add_argument("arguments", nargs="*", help="for psql, after --: its own arguments")
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
        database = LocalDatabase(private["folder"], durable=private.get("durable", True))
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
        text = f"Not made yet: the first command that needs it makes it in {status.folder}"
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
    """Replace this process; the password goes through the environment, which others cannot read."""
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
        raise CommandError(f"psql is missing beside the server's programs: {program}.") from error
