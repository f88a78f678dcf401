"""Concurrent changes of hosts, on connections of their own."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from django.db import connection

from rewards.models import Host
from rewards.services import hosts
from tests.factories import HostFactory
from tests.processes import another_session


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
