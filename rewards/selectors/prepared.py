"""Prepared statements, for requests: planning would take half of their time in the database."""

from collections.abc import Mapping
from typing import Any

import psycopg
from django.db import connection


class _PreparingCursor(psycopg.Cursor[tuple[Any, ...]]):
    """Binds parameters on the server and prepares every statement; Django's cursor does neither."""

    def execute(self, query: Any, params: Any = None, **_: Any) -> "_PreparingCursor":
        return super().execute(query, params, prepare=True)


def fetch_prepared(sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Execute a statement on Django's connection and return its rows; none if it returns none.

    The server plans it once for a connection, unless DATABASE_PREPARE is off.
    """
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    cursor = _PreparingCursor(connection.connection)
    # Django's own wrapper around it translates errors and knows the tests' hooks.
    wrap = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    with wrap(cursor) as wrapped:  # type: ignore[arg-type]  # the stubs name Django's cursor
        wrapped.execute(sql, parameters)
        return wrapped.fetchall() if cursor.description else []
