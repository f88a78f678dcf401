"""The sentence that a command prints about a database error."""

import traceback
from collections.abc import Iterator

import psycopg
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from rewards.services.db_errors import (
    first_line,
    is_connection_lost,
    is_sequence_behind,
    sequence_behind,
)

_NO_SUCH_TABLE = {
    "3F000",  # schema
    "42703",  # column
    "42P01",  # table
}
_NO_RIGHT = "42501"


def sentence(error: DatabaseError | InterfaceError) -> str | None:
    """Return the cause, the outcome of the work, and what to do; None if it is a bug of ours."""
    errors = list(_errors_of_psycopg(error))
    for cause in errors:
        # Django may have failed to reconnect since. The lost connection came first.
        if is_connection_lost(cause) and not _is_raised_by_connect(cause):
            return (
                f"The connection to the database at {_place()} was lost ({_line(cause)}); whether "
                "the last step was stored is unknown, what was stored before it is kept, safe to "
                "run again."
            )
    if any(map(_is_raised_by_connect, errors)):
        return f"Cannot reach the database at {_place()}: {_line(error)}."
    if not errors:  # the private server's own sentence, or an error of Django
        return str(error) if isinstance(error, OperationalError) else None
    if _is_misuse(errors[0]):
        return None
    state = errors[0].sqlstate
    if state in _NO_SUCH_TABLE:
        return "The database lacks tables: run `manage.py migrate` first."
    outcome = "the last step was not stored, what was stored before it is kept, safe to run again."
    if state == _NO_RIGHT:
        user = connection.settings_dict["USER"]
        return f"The database role '{user}' has no right to do this: {_line(error)}; {outcome}"
    if is_sequence_behind(error):
        return sequence_behind(str(errors[0].diag.table_name))
    return f"The database at {_place()} refused: {_line(error)}; {outcome}"


def _errors_of_psycopg(error: BaseException | None) -> Iterator[psycopg.Error]:
    while error is not None:
        if isinstance(error, psycopg.Error):
            yield error
        error = error.__cause__ or error.__context__


def _is_raised_by_connect(error: psycopg.Error) -> bool:
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(frame.f_code is psycopg.Connection.connect.__func__.__code__ for frame in frames)  # type: ignore[attr-defined]  # a method of the class


def _is_misuse(error: psycopg.Error) -> bool:
    """Return whether psycopg refused the call of a program, without asking the server."""
    return error.sqlstate is None and isinstance(error, psycopg.ProgrammingError)


def _place() -> str:
    options = connection.settings_dict.get("OPTIONS", {})
    host = connection.settings_dict.get("HOST") or options.get("host") or "the local socket"
    port = connection.settings_dict.get("PORT") or options.get("port") or 5432
    return f"{host}:{port}"


def _line(error: Exception) -> str:
    return first_line(error).strip().rstrip(".")
