"""A time limit for queries that someone waits for."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction

from rewards.exceptions import QueryTimedOut

_QUERY_CANCELED = "57014"


@contextmanager
def query_time_limit(
    *, milliseconds: int, work_mem: str | None = None, advice: str = "ask for fewer days"
) -> Iterator[None]:
    """Limit each query in the block, which runs in a transaction. Raises QueryTimedOut.

    `work_mem`, such as "64MB", is what each query may use for sorting and hashing. `advice` ends
    the sentence of the error.
    """
    limits = {"statement_timeout": f"{milliseconds}ms"}
    if work_mem is not None:
        limits["work_mem"] = work_mem
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            for name, value in limits.items():
                cursor.execute("SELECT set_config(%s, %s, true)", [name, value])
            yield
            for name in limits:  # the block may be part of a longer transaction
                cursor.execute(f"SET LOCAL {name} TO DEFAULT")
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") != _QUERY_CANCELED:
            raise
        raise QueryTimedOut(
            f"The query took longer than {milliseconds / 1000:g} seconds and was canceled; "
            f"{advice}."
        ) from error
