"""The migrations create what the models define, and remove it again."""

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection
from django.db.migrations.executor import MigrationExecutor

from tests.processes import own_database

CATALOG = """
    SELECT 'column', table_name || '.' || column_name,
        concat_ws(' ', data_type, is_nullable, column_default, character_maximum_length)
    FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL
    SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL
    SELECT 'trigger', tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT 'function', proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'options', relname, reloptions::text FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND reloptions IS NOT NULL
"""


@pytest.fixture
def empty_database(django_db_blocker, worker_id):
    with django_db_blocker.unblock(), own_database(f"rewards_empty_{worker_id}"):
        yield


def migrate(*targets):
    executor = MigrationExecutor(connection)
    executor.migrate(list(targets) or executor.loader.graph.leaf_nodes())


def catalog():
    with connection.cursor() as cursor:
        cursor.execute(CATALOG)
        return {row for row in cursor if "django_migrations" not in row[1]}


def test_the_migrations_can_be_reversed(empty_database):
    migrate()
    created = catalog()

    migrate(("rewards", None))
    left = catalog()
    migrate()

    assert any(kind == "trigger" for kind, _, _ in created)
    assert not [row for row in left if "rewards_" in row[1]]
    assert catalog() == created


@pytest.mark.django_db
def test_no_migration_is_missing():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


AN_AWARD = """
    WITH host AS (
        INSERT INTO rewards_user (external_id, username, password, is_host, is_active, is_staff,
            is_superuser, first_name, last_name, email, date_joined)
        VALUES ('ana', 'host:ana', '', true, true, false, false, '', '', '', now()) RETURNING id
    ), rule AS (
        INSERT INTO rewards_rewardrule
            (rule_type, threshold, points, is_active, starts_on, created_at, reason)
        VALUES ('DAILY_LOGIN', 1, 10, true, '2026-01-01', now(), '') RETURNING id
    ), run AS (
        INSERT INTO rewards_awardrun (cadence, reference_date, attempt, trigger, rule_versions,
            status, started_at, takeovers, events_seen, hosts_evaluated, hosts_rewarded,
            hosts_failed, awards, points, by_rule, leaders, error)
        VALUES ('daily', '2026-11-16', 1, 'beat', '[]', 'running', now(), 0, 1, 1, 1, 0, 1, 10,
            '{}', '[]', '') RETURNING id
    )
    SELECT host.id, rule.id, run.id FROM host, rule, run
"""
INSERT = """
    INSERT INTO rewards_scorehistory
        (user_id, rule_type, reference_date, points, rule_id, measured, threshold, run_id)
    VALUES (%s, 'DAILY_LOGIN', '2026-11-16', 10, %s, 1, 1, %s)
"""


@pytest.mark.parametrize("is_interrupted", [False, True])
def test_an_older_ledger_gains_its_entries(empty_database, is_interrupted):
    migrate(("rewards", "0003_roles_and_schedule"))
    with connection.cursor() as cursor:
        cursor.execute(AN_AWARD)
        ids = cursor.fetchone()
        cursor.execute(INSERT, ids)

        migrate(("rewards", "0004_signed_ledger"))
        if is_interrupted:
            cursor.execute("CREATE INDEX rewards_scorehistory_award_once_new ON rewards_user (id)")
        migrate()

        cursor.execute("SELECT entry, points FROM rewards_scorehistory")
        assert cursor.fetchall() == [(0, 10)]
        with pytest.raises(IntegrityError, match="award_once"):
            cursor.execute(INSERT, ids)
        cursor.execute("SELECT count(*) FROM pg_constraint WHERE NOT convalidated")
        assert cursor.fetchone() == (0,)


def test_a_reversed_ledger_takes_awards(empty_database):
    migrate()
    migrate(("rewards", "0003_roles_and_schedule"))

    with connection.cursor() as cursor:
        cursor.execute(AN_AWARD)
        ids = cursor.fetchone()
        cursor.execute(INSERT, ids)
        with pytest.raises(IntegrityError, match="award_once"):
            cursor.execute(INSERT, ids)
