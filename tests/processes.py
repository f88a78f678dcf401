"""Real processes on a real database: what tests of races and crashes are made of."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg
from django.db import connection
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60
"""Seconds after which a process is taken to hang."""


@contextmanager
def own_database(name: str, *, template: str = "template0") -> Iterator[None]:
    """Give Django's connection a database of its own, in which whatever commits stays.

    `template` is copied, and nobody may be connected to it. The database is gone afterwards, so
    that nothing has to be cleaned up, whoever was killed in it.
    """
    before = connection.settings_dict["NAME"]
    connection.close()
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    with connection._nodb_cursor() as server:
        server.execute(drop)
        server.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = before
        with connection._nodb_cursor() as server:
            server.execute(drop)


def environment(**settings: str) -> dict[str, str]:
    """Return what a process needs to work on the database that this test works on."""
    params = connection.get_connection_params()
    host = str(params["host"])
    user, password, name = (
        quote(str(each or ""), safe="")
        for each in (params["user"], params.get("password"), connection.settings_dict["NAME"])
    )
    address = "127.0.0.1" if host.startswith("/") else host
    url = f"postgresql://{user}:{password}@{address}:{params['port']}/{name}"
    return {**os.environ, "DATABASE_URL": url, "DEBUG": "true", **settings}


def start(program: Sequence[str], **settings: str) -> subprocess.Popen[str]:
    """Start Python on the project with `program` as arguments."""
    return subprocess.Popen(
        [sys.executable, *program],
        cwd=ROOT,
        env=environment(**settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for `process`; return its exit code, standard output and standard error."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    return process.returncode, out, err


def manage(*arguments: str, **settings: str) -> tuple[int, str, str]:
    """Run a command in a process of its own; return its exit code, output and error."""
    return finish(start(["manage.py", *arguments], **settings))


def another_session() -> psycopg.Connection:
    """Return a second connection to this test's database, in autocommit."""
    return psycopg.connect(environment()["DATABASE_URL"], autocommit=True)
