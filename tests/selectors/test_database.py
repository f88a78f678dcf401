from unittest import mock

import pytest
from django.db import connection

from rewards.selectors.database import foreign_tables, is_in_use, is_migrated
from tests.factories import ActivityEventFactory, HostFactory, RewardRuleFactory, StaffFactory

pytestmark = pytest.mark.django_db


def test_a_migrated_database_holds_only_our_tables():
    assert is_migrated()
    assert foreign_tables() == []


def test_tables_of_others_are_listed_in_order():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE wagtail_page (); CREATE TABLE auth_user ()")

    assert foreign_tables() == ["auth_user", "wagtail_page"]


def test_an_empty_database_is_not_migrated():
    with mock.patch.object(connection.introspection, "table_names", return_value=["auth_user"]):
        assert not is_migrated()


@pytest.mark.parametrize("factory", [HostFactory, ActivityEventFactory, RewardRuleFactory])
def test_a_database_with_rows_is_in_use(factory):
    factory()

    assert is_in_use()


def test_staff_alone_use_no_ledger():
    StaffFactory()

    assert not is_in_use()
