from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from rewards.management.imports import ImportCommand, by_reason
from rewards.services.activity.importing import import_activity
from rewards.services.activity.reading import ACTIVITY
from rewards.wording import count


class Command(ImportCommand):
    help = "Import activity from CSV or JSON Lines, plain or gzip. Safe to run again."
    layout = ACTIVITY
    counts = ("rows", "stored", "duplicates", "conflicts", "rejected", "hosts_created", "blank")

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--source",
            default="app",
            help="name of the system that issued the event ids, default: %(default)s",
        )
        parser.add_argument(
            "--create-hosts", action="store_true", help="create a host for each unknown user id"
        )

    def handle(self, *, files: list[str], source: str, create_hosts: bool, **options: Any) -> None:
        self.import_files(
            files,
            lambda path, on_progress: import_activity(
                path=path,
                source=source,
                create_hosts=create_hosts,
                now=timezone.now(),
                on_progress=on_progress,
            ),
        )

    def summary(self, row: dict[str, Any]) -> str:
        parts = [f"{row['stored']:,} of {count(row['rows'], 'row')} stored"]
        for noun in ("duplicate", "conflict"):
            if number := row[f"{noun}s"]:
                parts.append(count(number, noun))
        if row["rejected"]:
            parts.append(f"{row['rejected']:,} rejected")
        created = row["hosts_created"]
        hosts = f"; {count(created, 'host')} created" if created else ""
        return f"{', '.join(parts)}{by_reason(row)}{hosts}"
