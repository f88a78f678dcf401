"""Time limits of queries, and what is left of them afterwards."""

import pytest
from django.db import DatabaseError, OperationalError, connection

from rewards.exceptions import QueryTimedOut
from rewards.selectors.time_limits import query_time_limit

pytestmark = pytest.mark.django_db


def execute(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def test_a_query_that_takes_too_long_is_canceled():
    with pytest.raises(QueryTimedOut) as refused, query_time_limit(milliseconds=20):
        execute("SELECT pg_sleep(30)")

    assert str(refused.value) == (
        "The query took longer than 0.02 seconds and was canceled; ask for fewer days."
    )
    assert execute("SELECT 1") == 1


def test_limits_hold_in_the_block_only():
    before = execute("SHOW statement_timeout"), execute("SHOW work_mem")

    with query_time_limit(milliseconds=20_000, work_mem="64MB"):
        assert (execute("SHOW statement_timeout"), execute("SHOW work_mem")) == ("20s", "64MB")

    assert (execute("SHOW statement_timeout"), execute("SHOW work_mem")) == before


def test_memory_is_left_alone_unless_named():
    before = execute("SHOW work_mem")

    with query_time_limit(milliseconds=20_000):
        assert execute("SHOW work_mem") == before


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("SELECT 1 / 0", DatabaseError),
        ("SELECT pg_terminate_backend(pg_backend_pid())", OperationalError),
    ],
)
def test_other_errors_are_raised_as_they_are(sql, error):
    with pytest.raises(error), query_time_limit(milliseconds=20_000):
        execute(sql)

    connection.close()
