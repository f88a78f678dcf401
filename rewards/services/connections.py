"""Telling a lost connection from a statement that the database refused."""

import psycopg


def is_lost(error: BaseException) -> bool:
    """Return whether the connection broke, so that what became of a commit is not known.

    To ask the connection itself does not tell: Django connects anew on leaving atomic(), while
    the locks of the session went with the old one.
    """
    cause = error if isinstance(error, psycopg.Error) else error.__cause__
    if isinstance(cause, psycopg.InterfaceError):
        return True
    if not isinstance(cause, psycopg.OperationalError):
        return False
    state = cause.sqlstate  # none when there was no server left to send one
    return state is None or state.startswith("08") or state in {"57P01", "57P02", "57P03"}
