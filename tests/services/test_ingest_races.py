"""Concurrent requests with events, on connections of their own."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import pytest
from django.db import connection

from rewards.exceptions import Busy
from rewards.models import ActivityEvent, Host
from rewards.services import ingest
from tests.factories import A_MONDAY, HostFactory
from tests.processes import another_session, wait_until, waiting_sessions
from tests.services.test_ingest import (
    counts,
    daily_activity,
    event,
    prepared_statements,
    send,
    violations,
)


def test_the_statements_are_prepared_once(committed):
    HostFactory(external_id="u1")
    send(event())
    first = prepared_statements()
    for number in range(3):
        send(event(f"more-{number}"))

    assert [statement.split()[:3] for statement in first] == [["WITH", "incoming", "AS"]]
    assert prepared_statements() == first


def test_of_eight_requests_with_an_id_one_stores_it(committed):
    HostFactory(external_id="u1")

    def request(number):
        try:
            return counts(send(event(), event(f"own-{number}")))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        found = Counter(pool.map(request, range(8)))

    assert found == {(2, 0, 0): 1, (1, 1, 0): 7}
    assert daily_activity() == [("u1", A_MONDAY, 9, 0, 0, 0, 0)]
    assert violations() == []


def test_eight_requests_create_a_host_once(committed):
    def request(number):
        try:
            return counts(send(event(f"e{number}", user_id="new"), creates_hosts=True))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(request, range(8))) == [(1, 0, 0)] * 8

    assert Host.objects.count() == 1
    assert daily_activity() == [("new", A_MONDAY, 8, 0, 0, 0, 0)]
    assert violations() == []


def test_a_lock_held_too_long_is_busy_after_two_tries(committed, monkeypatch, caplog):
    HostFactory(external_id="u1")
    send(event())
    monkeypatch.setattr(ingest, "LOCK_TIMEOUT", "100ms")
    with another_session() as other:
        other.execute("BEGIN")
        other.execute("SELECT FROM rewards_dailyactivity FOR UPDATE")

        started = time.monotonic()
        with pytest.raises(Busy) as busy:
            send(event("e2"))
        seconds = time.monotonic() - started

        other.execute("ROLLBACK")
    assert seconds < 10  # the timeout of other transactions
    # What PostgreSQL says is for the log, not for the client.
    assert str(busy.value) == (
        "The database is busy; nothing was stored. Send the same events again."
    )
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert record.getMessage() == (
        "request gave up after 2 conflicts: canceling statement due to lock timeout"
    )
    assert ActivityEvent.objects.count() == 1
    assert counts(send(event("e2"))) == (1, 0, 0)
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("10s",)  # of other transactions


@pytest.mark.parametrize("host", ["u1", "u2"], ids=["counted before", "not counted before"])
def test_totals_are_locked_in_order_of_day(host, committed):
    """Otherwise requests and imports of several days would deadlock in a slot."""
    HostFactory(external_id="u1")
    HostFactory(external_id="u2")
    days = [f"2026-11-{number}" for number in range(10, 20)]

    def events(name, user_id):
        return [event(f"{name}-{day}", user_id, at=f"{day}T12:00:00Z") for day in days]

    may_send, slots = threading.Event(), SimpleQueue()

    def request():
        try:
            send(*events("first", "u1"))
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid() % 64")
                slots.put(*cursor.fetchone())
            may_send.wait(30)
            return counts(send(*events("second", host)))
        finally:
            connection.close()

    with another_session() as other, another_session() as watch, ThreadPoolExecutor() as pool:
        answer = pool.submit(request)
        slot = slots.get(timeout=30)
        other.execute("BEGIN")
        total = "SELECT date::text FROM rewards_activitytotal WHERE slot = %s "
        other.execute(total + "AND date = %s FOR UPDATE", [slot, days[5]])
        may_send.set()
        wait_until(lambda: waiting_sessions(watch, "locktype = 'transactionid'") == 1)
        free = watch.execute(total + "FOR UPDATE SKIP LOCKED", [slot]).fetchall()
        other.execute("COMMIT")
        assert answer.result() == (10, 0, 0)

    assert sorted(day for (day,) in free) == days[6:]


def test_a_lock_released_in_time_is_waited_for(committed):
    HostFactory(external_id="u1")
    send(event())

    def request():
        try:
            return counts(send(event("e2")))
        finally:
            connection.close()

    with another_session() as other, another_session() as watch, ThreadPoolExecutor() as pool:
        other.execute("BEGIN")
        other.execute("SELECT FROM rewards_dailyactivity FOR UPDATE")
        answer = pool.submit(request)
        wait_until(lambda: waiting_sessions(watch, "locktype = 'transactionid'") == 1)
        other.execute("COMMIT")
        assert answer.result() == (1, 0, 0)
