"""Statements that are planned once for a connection."""

import pytest
from django.db import DataError, OperationalError, connection, transaction

from rewards.models import Host
from rewards.selectors.prepared import fetch_prepared, loaded
from tests.factories import HostFactory
from tests.processes import another_session, wait_until

SQL = "SELECT %(number)s::integer + 1, %(names)s::text[]"


def fetch(number=1):
    return fetch_prepared(SQL, {"number": number, "names": ["a", 'b"']})


@pytest.mark.django_db
def test_a_statement_returns_its_rows():
    assert fetch() == [(2, ["a", 'b"'])]
    assert fetch_prepared("SET LOCAL work_mem = '1MB'", {}) == []


@pytest.mark.django_db
def test_errors_are_those_of_django():
    with pytest.raises(DataError, match="division by zero"), transaction.atomic():
        fetch_prepared("SELECT 1 / %(number)s::integer", {"number": 0})


@pytest.fixture
def kept(committed):
    """A connection as a request finds it: kept from another one, with health checks."""
    fetch()
    connection.health_check_enabled = True
    connection.health_check_done = False


def break_connection():
    """End the session from outside; return once the server has ended it."""
    process = connection.connection.info.backend_pid
    query = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
    with another_session() as other:
        other.execute("SELECT pg_terminate_backend(%s)", [process])
        wait_until(lambda: other.execute(query, [process]).fetchone() == (0,))


@pytest.mark.usefixtures("kept")
def test_a_kept_connection_is_not_asked_whether_it_works(monkeypatch):
    monkeypatch.setattr(connection, "is_usable", lambda: pytest.fail("asked"))

    assert fetch(2) == [(3, ["a", 'b"'])]
    with connection.cursor() as cursor:  # nor by the next statement of the request
        cursor.execute("SELECT 1")


@pytest.mark.usefixtures("kept")
def test_a_kept_connection_that_broke_is_replaced():
    break_connection()

    assert fetch(2) == [(3, ["a", 'b"'])]
    assert fetch(3) == [(4, ["a", 'b"'])]


@pytest.mark.usefixtures("kept")
def test_a_connection_that_breaks_later_is_an_error():
    fetch()
    break_connection()

    with pytest.raises(OperationalError):
        fetch()


@pytest.mark.usefixtures("kept")
def test_a_statement_of_a_transaction_is_not_repeated():
    def in_a_transaction():
        with transaction.atomic():
            break_connection()
            fetch()

    with pytest.raises(OperationalError):
        in_a_transaction()


WAIT_FOR_A_LOCK = "SELECT pg_advisory_lock(%(key)s) FROM set_config('lock_timeout', '10ms', true)"


@pytest.mark.usefixtures("kept")
def test_an_error_on_a_working_connection_is_raised_at_once():
    process = connection.connection.info.backend_pid

    with another_session() as other:
        other.execute("SELECT pg_advisory_lock(1)")
        with pytest.raises(OperationalError, match="lock timeout"):
            fetch_prepared(WAIT_FOR_A_LOCK, {"key": 1})
        other.execute("SELECT pg_advisory_unlock(1)")

    assert connection.connection.info.backend_pid == process


@pytest.mark.django_db
def test_a_row_is_loaded_by_the_names_of_its_columns(django_assert_num_queries):
    """In any order; what was not read is read when it is asked for."""
    stored = HostFactory(external_id="ana", first_name="Ana")

    host = loaded(Host, ["external_id", "is_host", "id"], ["ana", True, stored.pk])

    with django_assert_num_queries(0):
        assert (host.pk, host.external_id, host.is_host) == (stored.pk, "ana", True)
    with django_assert_num_queries(1):
        assert host.first_name == "Ana"
