"""Errors of the database: one sentence, the exit code, and a rerun that works."""

import re
import socket
from datetime import UTC, datetime, timedelta

import pytest
from django.db import ProgrammingError, connection
from django.db.transaction import TransactionManagementError

from rewards.models import ActivityEvent, AwardRun, ScoreHistory
from tests.factories import ActivityEventFactory, DailyActivityFactory, RewardRuleFactory
from tests.processes import another_session, environment, finish, start
from tests.processes import manage as in_a_process

AWARD = ("award_daily", "--date", "2026-11-16")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "event_id,user_id,kind,occurred_at,duration_seconds\ne1,u1,login,2026-11-16T12:00:00Z,0\n"
    )
    return path


def sentence_of(outcome):
    """Return code and error output, which has to be one sentence and no traceback."""
    code, out, err = outcome
    assert (out, err.count("\n"), err[:14]) == ("", 1, "CommandError: "), outcome
    return code, err


@pytest.mark.parametrize(
    "words", [AWARD, ("migrate",), ("check", "--database", "default")], ids=lambda words: words[0]
)
def test_a_database_that_is_down_is_named_without_its_password(words):
    outcome = in_a_process(*words, DATABASE_URL="postgres://someone:pass-word@127.0.0.1:1/rewards")

    code, err = sentence_of(outcome)
    assert code == 1
    assert "Cannot reach the database at 127.0.0.1:1: " in err
    assert "pass-word" not in err


def test_a_host_name_that_does_not_resolve_is_named():
    outcome = in_a_process(*AWARD, DATABASE_URL="postgres://someone:pass-word@db.invalid/rewards")

    code, err = sentence_of(outcome)
    assert code == 1
    assert "Cannot reach the database at db.invalid:5432: failed to resolve host" in err


def test_a_server_that_does_not_answer_is_named():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = f"postgres://someone:pass-word@127.0.0.1:{port}/rewards?connect_timeout=2"
        code, err = sentence_of(in_a_process(*AWARD, DATABASE_URL=url))

    assert code == 1
    assert f"Cannot reach the database at 127.0.0.1:{port}: connection timeout expired" in err


def test_a_missing_right_is_named(committed, file):
    with another_session() as admin:
        admin.execute("CREATE ROLE reader LOGIN PASSWORD 'pass-word'")
        admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    try:
        url = re.sub("//.*@", "//reader:pass-word@", environment()["DATABASE_URL"])
        outcome = in_a_process("import_activity", str(file), "--create-hosts", DATABASE_URL=url)
    finally:
        with another_session() as admin:
            admin.execute("DROP OWNED BY reader")
            admin.execute("DROP ROLE reader")

    code, err = sentence_of(outcome)
    assert code == 1
    assert re.search("has no right to do this: permission denied for (table|sequence) rewards", err)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("words", "table"),
    [
        (("import_activity", "FILE", "--create-hosts"), "rewards_user"),
        (("import_activity", "FILE", "--create-hosts"), "rewards_activityevent"),
        (("set_rule", "DAILY_LOGIN", "--threshold", "2", "--points", "1"), "rewards_rewardrule"),
    ],
    ids=["hosts", "events", "rules"],
)
def test_a_sequence_behind_its_table_is_named(words, table, manage, file):
    """As after a restore of the rows alone."""
    RewardRuleFactory()
    ActivityEventFactory()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT setval('{table}_id_seq', min(id), false) FROM {table}")  # noqa: S608

    code, err = sentence_of(manage(*(file if word == "FILE" else word for word in words)))

    assert code == 1
    assert f"The sequence of {table} is behind its rows" in err
    assert "manage.py sqlsequencereset rewards" in err


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("state", "message"),
    [
        # of the data
        ("22003", "integer out of range"),
        # of the program or the schema
        ("42804", "column is of type integer"),
        # of the machine
        ("53100", "could not extend file"),
        # of a rule that somebody has added to a table
        ("23514", "new row violates check constraint"),
        ("0A000", "cannot do this"),
        ("25006", "cannot execute INSERT in a read-only transaction"),
        ("P0001", "raised by a trigger"),
    ],
)
def test_any_other_refusal_is_one_sentence(state, message, manage, file):
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" RAISE EXCEPTION '{message}' USING ERRCODE = '{state}'; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON rewards_activityevent EXECUTE FUNCTION refuse()"
        )

    code, err = sentence_of(manage("import_activity", file, "--create-hosts"))

    assert code == 1
    assert f" refused: {message}; the last step was not stored" in err


@pytest.mark.django_db
@pytest.mark.parametrize(
    "bug",
    [
        # Raised by Django and by psycopg before the database is asked.
        ProgrammingError("no results to fetch"),
        TransactionManagementError("This is forbidden when an 'atomic' block is not active."),
        TypeError("unexpected keyword"),
    ],
)
def test_a_bug_keeps_its_traceback(bug, manage, monkeypatch):
    def fail(*args: object, **kwargs: object) -> None:
        raise bug

    monkeypatch.setattr("rewards.management.commands.runs.Command.handle", fail)

    with pytest.raises(type(bug)):
        manage("runs")


@pytest.mark.parametrize(
    "words",
    [
        AWARD,
        ("award_weekly",),
        ("export_history",),
        ("verify_ledger",),
        ("set_rule", "DAILY_LOGIN", "--threshold", "1", "--points", "1"),
        ("import_activity", "FILE"),
    ],
    ids=lambda words: words[0],
)
def test_a_database_without_tables_asks_for_migrate(words, db, manage, file):
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA nothing")
        cursor.execute("SET LOCAL search_path = nothing")

    outcome = manage(*(file if word == "FILE" else word for word in words))

    said = "CommandError: The database lacks tables: run `manage.py migrate` first.\n"
    assert sentence_of(outcome) == (1, said)


def test_a_refused_connection_is_named_and_a_rerun_works(committed, file):
    user = "few_connections"
    with another_session() as admin:
        admin.execute(f"CREATE ROLE {user} LOGIN SUPERUSER PASSWORD 'pass-word'")
    try:
        url = re.sub("//.*@", f"//{user}:pass-word@", environment()["DATABASE_URL"])
        with another_session() as admin:
            # Superusers are beyond the limit.
            admin.execute(f"ALTER ROLE {user} NOSUPERUSER CONNECTION LIMIT 0")
            admin.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {user}")
            admin.execute(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {user}")
        words = ("import_activity", str(file), "--create-hosts")

        code, err = sentence_of(in_a_process(*words, DATABASE_URL=url))
        assert code == 1
        assert f'too many connections for role "{user}"' in err
        assert "pass-word" not in err

        with another_session() as admin:
            admin.execute(f"ALTER ROLE {user} CONNECTION LIMIT 1")
        assert in_a_process(*words, "--verbosity", "0", DATABASE_URL=url) == (0, "", "")
    finally:
        with another_session() as admin:
            admin.execute(f"DROP OWNED BY {user}")
            admin.execute(f"DROP ROLE {user}")


ODD_DEFAULTS = {
    "datestyle": "SQL, DMY",
    "intervalstyle": "sql_standard",
    "bytea_output": "escape",
    "timezone": "Asia/Tokyo",
    "client_encoding": "LATIN1",
    "default_transaction_isolation": "serializable",
    "extra_float_digits": "-10",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "quote_all_identifiers": "on",
    "client_min_messages": "debug5",
    "constraint_exclusion": "off",
}


def test_odd_defaults_of_a_database_change_nothing(committed, manage, tmp_path):
    file = tmp_path / "a.csv"
    rows = [f"e{day},u{day % 3},login,2024-03-{day}T23:30:00Z,0\n" for day in range(10, 24)]
    file.write_text("event_id,user_id,kind,occurred_at,duration_seconds\n" + "".join(rows))
    RewardRuleFactory(starts_on="2024-01-01")
    name = connection.settings_dict["NAME"]
    with another_session() as admin:
        for setting, value in ODD_DEFAULTS.items():
            admin.execute(f"ALTER DATABASE \"{name}\" SET {setting} = '{value}'".encode())

    connection.close()
    for words in (
        ("import_activity", str(file), "--create-hosts"),
        ("award_daily", "--from", "2024-03-10", "--to", "2024-03-23"),
        ("award_weekly", "--from", "2024-03-04", "--to", "2024-03-18"),
        ("explain", "u1", "2024-03-16"),
        ("preview_rule", "DAILY_LOGIN", "--threshold", "1", "--points", "9"),
        ("runs",),
        ("verify_ledger",),
    ):
        outcome = manage(*words)
        assert outcome[0] == 0, outcome
    with connection.cursor() as cursor:
        cursor.execute("SHOW default_transaction_isolation")
        assert cursor.fetchone() == ("read committed",)
    code, out, err = manage("export_history")

    expected = sorted(f"u{day % 3},DAILY_LOGIN,2024-03-{day},10" for day in range(10, 24))
    assert (code, out.splitlines()[1:], err) == (0, expected, "")


def test_a_lock_held_too_long_is_given_up(committed, file):
    words = ("import_activity", str(file), "--create-hosts")
    with another_session() as admin, admin.transaction():
        admin.execute("LOCK TABLE rewards_dailyactivity IN ACCESS EXCLUSIVE MODE")
        outcome = in_a_process(*words, DATABASE_LOCK_TIMEOUT="1", LOG_LEVEL="ERROR")

    code, err = sentence_of(outcome)
    assert code == 1
    assert "Gave up after 5 conflicts with other processes: canceling statement due to" in err
    assert not ActivityEvent.objects.exists()
    assert in_a_process(*words, "--verbosity", "0") == (0, "", "")
    assert ActivityEvent.objects.count() == 1


def test_a_lock_released_in_time_only_delays(committed, file):
    words = ("import_activity", str(file), "--create-hosts", "--verbosity", "0")
    with another_session() as admin, another_session() as observer:
        admin.execute("BEGIN")
        admin.execute("LOCK TABLE rewards_activityevent IN ACCESS EXCLUSIVE MODE")
        process = start(["manage.py", *words])
        while not observer.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall():
            assert process.poll() is None
        admin.execute("COMMIT")

    assert finish(process) == (0, "", "")
    assert ActivityEvent.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_an_hour_off_does_not_change_closed_days(hours, manage, monkeypatch):
    RewardRuleFactory()
    DailyActivityFactory()
    monkeypatch.setattr(
        "django.utils.timezone.now",
        lambda: datetime(2026, 11, 17, 12, tzinfo=UTC) + timedelta(hours=hours),
    )

    for _ in range(2):
        code, _out, err = manage(*AWARD)

        assert (code, err) == (0, "")
    assert ScoreHistory.objects.count() == 1


@pytest.mark.django_db
def test_another_time_zone_awards_and_imports_nothing(manage, settings, file):
    RewardRuleFactory()
    DailyActivityFactory()
    for hour in range(24):
        ActivityEventFactory(occurred_at=datetime(2026, 11, 16, hour, 30, tzinfo=UTC))
    settings.REWARDS_TIME_ZONE = "America/Los_Angeles"

    for words in (
        AWARD,
        (*AWARD, "--dry-run"),
        ("award_weekly", "--week", "2026-11-16"),
        ("import_activity", file),
    ):
        assert sentence_of(manage(*words)) == (
            2,
            "CommandError: REWARDS_TIME_ZONE=America/Los_Angeles is not the time zone of the "
            "stored activity: the event at 2026-11-16T00:30:00Z is stored for 2026-11-16, but is "
            "on 2026-11-15 there; set the former time zone again.\n",
        )
    assert not AwardRun.objects.exists()
    settings.REWARDS_TIME_ZONE = "UTC"
    assert manage(*AWARD)[0] == 0
