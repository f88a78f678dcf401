"""A private, durable PostgreSQL with the same settings for every variant."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from localservers.postgresql.database import LocalDatabase
from localservers.temporary import temporary_servers

DURABLE = ("fsync", "synchronous_commit", "full_page_writes")

SETTINGS = {
    "shared_buffers": "2GB",
    "effective_cache_size": "8GB",
    "work_mem": "64MB",
    "maintenance_work_mem": "512MB",
    # No automatic checkpoint or autovacuum while a variant is timed.
    "max_wal_size": "16GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
}


@dataclass(frozen=True)
class Server:
    """A running server whose databases are created, copied and dropped by name."""

    local: LocalDatabase

    @property
    def log(self) -> Path:
        return self.local.cluster.home / "server.log"

    def url(self, name: str) -> str:
        return urlsplit(self.local.url())._replace(path=f"/{name}").geturl()

    def connect(self, name: str) -> psycopg.Connection:
        return psycopg.connect(self.url(name), autocommit=True)

    def row(self, name: str, query: str, parameters: Any = None) -> tuple[Any, ...]:
        """Return the first row of `query` in the database `name`."""
        with self.connect(name) as connection:
            return next(iter(connection.execute(query.encode(), parameters)))

    def environment(self, name: str) -> dict[str, str]:
        """Return the production environment of a command on the database `name`."""
        return os.environ | {
            "DATABASE_URL": self.url(name),
            "DEBUG": "false",  # with DEBUG, Django keeps every statement in memory
            "SECRET_KEY": secrets.token_urlsafe(64),
            "ALLOWED_HOSTS": "localhost",
            "LOG_LEVEL": "ERROR",
        }

    def has(self, name: str) -> bool:
        with self.connect("postgres") as admin:
            rows = admin.execute("SELECT FROM pg_database WHERE datname = %s", [name])
            return rows.fetchone() is not None

    def create(self, name: str, *, template: str = "template1") -> None:
        """Copy `template` file by file, which ends with a checkpoint."""
        with self.connect("postgres") as admin:
            admin.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )

    def drop(self, name: str) -> None:
        with self.connect("postgres") as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))

    def clear(self, *, keep: str) -> None:
        """Drop every benchmark database except `keep`."""
        with self.connect("postgres") as admin:
            names = admin.execute(
                "SELECT datname FROM pg_database WHERE NOT datistemplate"
                " AND datname NOT IN ('postgres', %s)",
                [keep],
            ).fetchall()
        for (name,) in names:
            self.drop(name)

    @contextmanager
    def copy_of(self, template: str) -> Iterator[str]:
        """Yield the name of a fresh copy of `template`, its tables in shared memory."""
        name = f"{template}_copy"
        self.drop(name)
        self.create(name, template=template)
        self.warm(name)
        try:
            yield name
        finally:
            self.drop(name)

    def warm(self, name: str) -> None:
        """Load the tables of `name` into shared memory and write dirty pages."""
        with self.connect(name) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS pg_prewarm")
            connection.execute(
                "SELECT sum(pg_prewarm(oid)) FROM pg_class"
                " WHERE relname LIKE 'rewards\\_%' AND relkind IN ('r', 'i')"
            )
            connection.execute("CHECKPOINT")


@contextmanager
def running(folder: Path | None) -> Iterator[Server]:
    """Run a server in a new folder under `folder`; stop and remove it on exit."""
    with temporary_servers(prefix="rewards-benchmark-", parent=folder) as home:
        local = LocalDatabase(home / "database", durable=True)
        server = Server(local)
        local.ensure_running()
        with server.connect("postgres") as admin:
            for name, value in SETTINGS.items():
                admin.execute(
                    sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), value)
                )
        local.stop()
        local.ensure_running()
        yield server


def current_settings(server: Server) -> dict[str, str]:
    """Return the server's version, its durability settings and SETTINGS, as it reports them."""
    with server.connect("postgres") as admin:
        return {
            name: str(admin.execute("SELECT current_setting(%s)", [name]).fetchone()[0])  # type: ignore[index]  # always a row
            for name in ("server_version", *DURABLE, *SETTINGS)
        }
