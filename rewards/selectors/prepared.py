"""Prepared statements, for requests: planning would take half of their time in the database."""

from collections.abc import Mapping
from typing import Any

import psycopg
from django.db import InterfaceError, OperationalError, connection


class _PreparingCursor(psycopg.Cursor[tuple[Any, ...]]):
    """Binds parameters on the server and prepares every statement; Django's cursor does neither."""

    def execute(self, query: Any, params: Any = None, **_: Any) -> "_PreparingCursor":
        return super().execute(query, params, prepare=True)


def fetch_prepared(sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Execute a statement on Django's connection and return its rows; none if it returns none.

    The server plans it once for a connection, unless DATABASE_PREPARE is off. Outside of a
    transaction only for statements that write nothing: one that finds a connection of an earlier
    request broken is executed again on a new one.
    """
    if connection.in_atomic_block or not _is_unchecked():
        return _fetch(sql, parameters)
    # Django would ask whether the connection works, with a statement of its own. This one can tell.
    connection.health_check_done = True  # type: ignore[attr-defined]  # missing in the stubs
    try:
        return _fetch(sql, parameters)
    except (OperationalError, InterfaceError):
        if connection.is_usable():
            raise
        connection.close()
        return _fetch(sql, parameters)


def _is_unchecked() -> bool:
    """Return whether the connection was kept from an earlier request, and not used since."""
    return (
        connection.connection is not None
        and connection.health_check_enabled  # type: ignore[attr-defined]  # missing in the stubs
        and not connection.health_check_done  # type: ignore[attr-defined]  # missing in the stubs
    )


def _fetch(sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    connection.ensure_connection()
    cursor = _PreparingCursor(connection.connection)
    # Django's own wrapper around it translates errors and knows the tests' hooks.
    wrap = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    with wrap(cursor) as wrapped:  # type: ignore[arg-type]  # the stubs name Django's cursor
        wrapped.execute(sql, parameters)
        return wrapped.fetchall() if cursor.description else []
