"""Telling a lost connection from a statement that the database refused."""

import psycopg

_ENDS_THE_SESSION = {
    "25P03",  # idle in a transaction for too long
    "25P04",  # a transaction that took too long
    "57P01",  # the server, or this session, is shut down
    "57P02",  # another session crashed the server
    "57P03",  # the server is starting or stopping
    "57P05",  # idle for too long
}


def is_lost(error: BaseException) -> bool:
    """Return whether the connection broke, so that what became of a commit is not known.

    To ask the connection itself does not tell: Django connects anew on leaving atomic(), while
    the locks of the session went with the old one.
    """
    cause = error if isinstance(error, psycopg.Error) else error.__cause__
    if isinstance(cause, psycopg.InterfaceError):
        return True
    if not isinstance(cause, psycopg.Error):
        return False
    state = cause.sqlstate
    if state is None:  # there was no server left to send one
        return isinstance(cause, psycopg.OperationalError)
    return state.startswith("08") or state in _ENDS_THE_SESSION
