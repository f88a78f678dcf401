from typing import Any

from django.utils import timezone

from rewards.management.imports import ImportCommand, by_reason
from rewards.services.host_import import HOSTS, import_hosts
from rewards.wording import count


class Command(ImportCommand):
    help = "Create and change hosts from CSV, plain or gzip. Safe to run again."
    layout = HOSTS
    counts = ("rows", "created", "updated", "unchanged", "rejected", "blank")

    def handle(self, *, files: list[str], **options: Any) -> None:
        self.import_files(
            files,
            lambda path, on_progress: import_hosts(
                path=path, now=timezone.now(), on_progress=on_progress
            ),
        )

    def summary(self, row: dict[str, Any]) -> str:
        parts = [
            f"{row[name]:,} {name}"
            for name in ("created", "updated", "unchanged", "rejected")
            if row[name]
        ]
        done = f": {', '.join(parts)}" if parts else ""
        return f"{count(row['rows'], 'row')}{done}{by_reason(row)}"
