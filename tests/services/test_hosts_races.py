"""Concurrent changes of hosts, on connections of their own."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import OperationalError, connection, transaction

from rewards.models import Host
from rewards.services import hosts
from tests.factories import A_MONDAY, HostFactory
from tests.processes import another_session
from tests.services.test_hosts import update
from tests.services.test_ingest import counts, event, send


def test_of_eight_puts_of_a_host_one_creates_it(committed):
    def put(number):
        try:
            return hosts.put_host(external_id="ada", values={"first_name": "Ada"}).is_new
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert Counter(pool.map(put, range(8))) == {True: 1, False: 7}

    assert Host.objects.get().first_name == "Ada"


def test_a_put_does_not_wait_for_new_events_of_the_host(committed):
    host = HostFactory(external_id="ada")
    with another_session() as other:
        other.execute("BEGIN")
        other.execute("SELECT FROM rewards_user WHERE id = %s FOR KEY SHARE", [host.pk])

        assert hosts.put_host(external_id="ada", values={"first_name": "Ada"}).changes

        other.execute("ROLLBACK")


def test_a_put_waits_for_a_lock_as_long_as_a_request_may(committed, monkeypatch):
    host = HostFactory(external_id="ada", first_name="Ada")
    monkeypatch.setattr(hosts, "LOCK_TIMEOUT", "100ms")
    with another_session() as other:
        other.execute("BEGIN")
        other.execute("SELECT FROM rewards_user WHERE id = %s FOR UPDATE", [host.pk])

        started = time.monotonic()
        with pytest.raises(OperationalError, match="lock timeout"):
            hosts.put_host(external_id="ada", values={"first_name": "Bea"})
        seconds = time.monotonic() - started

        other.execute("ROLLBACK")
    assert seconds < 10  # the timeout of other transactions
    assert hosts.put_host(external_id="ada", values={"first_name": "Bea"}).changes
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("10s",)


@pytest.mark.parametrize("edit", ["put", "update", "deactivate", "reactivate"])
def test_an_event_is_stored_while_its_host_is_edited(edit, committed):
    host = HostFactory(external_id="u1", left_on=A_MONDAY if edit == "reactivate" else None)
    edits = {
        "put": lambda: hosts.put_host(external_id="u1", values={"first_name": "Ada"}).changes,
        "update": lambda: update(host, first_name="Ada").changes,
        "deactivate": lambda: hosts.deactivate(hosts=[host.pk], last_day=A_MONDAY),
        "reactivate": lambda: hosts.reactivate(hosts=[host.pk]),
    }

    def request():
        try:
            return counts(send(event()))
        finally:
            connection.close()

    with ThreadPoolExecutor() as pool, transaction.atomic():
        assert edits[edit]()
        assert pool.submit(request).result() == (1, 0, 0)
