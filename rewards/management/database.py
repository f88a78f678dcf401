"""What a command says when the database does not do what it was asked."""

from collections.abc import Iterator

import psycopg
from django.db import DatabaseError, InterfaceError, connection

from rewards.services.db_errors import is_connection_lost


def sentence(error: DatabaseError | InterfaceError) -> str:
    """Return one sentence: what is wrong, what became of the work, what to do."""
    for each in _chain(error):
        if isinstance(each, psycopg.Error) and each.pgconn is None and is_connection_lost(each):
            # Django may have failed to connect anew since: this came first, and matters more.
            return (
                f"The connection to the database at {_place()} was lost ({_line(each)}); whether "
                "the last step was stored is unknown, what was stored before it is kept, safe to "
                "run again."
            )
    if any(isinstance(each, psycopg.Error) and each.pgconn for each in _chain(error)):
        return f"Cannot reach the database at {_place()}: {_line(error)}"
    return (
        f"The database at {_place()} refused: {_line(error)}; the last step was not stored, what "
        "was stored before it is kept, safe to run again."
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _place() -> str:
    options = connection.settings_dict.get("OPTIONS", {})
    host = connection.settings_dict.get("HOST") or options.get("host") or "the local socket"
    port = connection.settings_dict.get("PORT") or options.get("port") or 5432
    return f"{host}:{port}"


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
