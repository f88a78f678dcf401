"""A key is found by its prefix, in one query, and never from a cache."""

from datetime import date

import pytest
from django.db import connection

from rewards.models import ApiKey
from rewards.selectors.api_clients import _BY_PREFIX, all_keys, key_of_text, keys_of
from tests.factories import SECRET, ApiClientFactory, ApiKeyFactory, key_text

pytestmark = pytest.mark.django_db

TODAY = date(2026, 11, 24)


def test_a_key_comes_with_its_client():
    client = ApiClientFactory(
        name="The app", scopes=["scores:read"], creates_hosts=True, requests_per_second=5
    )
    key = ApiKeyFactory(client=client, last_used_on=TODAY, expires_on=TODAY)

    found = key_of_text(key_text(key), today=TODAY)

    assert found == key
    for name in ("prefix", "digest", "last_used_on", "expires_on", "revoked_at", "created_at"):
        assert getattr(found, name) == getattr(key, name), name
    for name in ("name", "source", "scopes", "creates_hosts", "requests_per_second", "is_active"):
        assert getattr(found.client, name) == getattr(client, name), name


@pytest.mark.parametrize(
    "text", ["", "rwd_", f"rwd_AAAAAAAA_{SECRET}", f"rwd_aaaaaaaa_{SECRET}\n", "rwd_aaaaaaaa_%s"]
)
def test_another_text_asks_no_query(text, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert key_of_text(text, today=TODAY) is None


def test_a_key_is_found_by_the_index_of_its_prefix():
    key = ApiKeyFactory()
    ApiKey.objects.bulk_create(ApiKeyFactory.build_batch(500, client=key.client))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE rewards_apikey")
        cursor.execute(f"EXPLAIN {_BY_PREFIX}", {"prefix": key.prefix})
        plan = "\n".join(line for (line,) in cursor)

    assert "rewards_apikey_one_per_prefix" in plan
    assert "Seq Scan on rewards_apikey" not in plan


def test_keys_are_listed_newest_first():
    client = ApiClientFactory(source="b")
    older = ApiKeyFactory(client=client)
    newer = ApiKeyFactory(client=client, created_at="2026-11-20T12:00:00Z")
    other = ApiKeyFactory(client=ApiClientFactory(source="a"))

    assert keys_of(client) == [newer, older]
    assert all_keys() == [other, newer, older]
