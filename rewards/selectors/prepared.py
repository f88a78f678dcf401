"""Prepared statements, for requests: planning would take half of their time in the database."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import psycopg
from django.db import InterfaceError, OperationalError, connection
from django.db.models import Model

M = TypeVar("M", bound=Model)


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


def loaded(model: type[M], columns: Sequence[str], values: Sequence[Any]) -> M:
    """Return an instance of `model` with the values of these columns; the others are deferred."""
    of_column = dict(zip(columns, values, strict=True))
    # Django takes values in the order of the model's fields.
    names = [field.attname for field in model._meta.concrete_fields if field.attname in of_column]
    return model.from_db(connection.alias, names, [of_column[name] for name in names])


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
