"""Each system check finds its problem, and nothing in a sound setup."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from django.core.checks import run_checks
from django.core.checks.registry import registry
from django.db import connection
from django.utils import timezone

from rewards import checks
from rewards.choices import RULE_TYPE_SPECS, RuleType
from rewards.models import ActivitySettings
from tests.factories import ActivityEventFactory, ApiClientFactory
from tests.processes import connected_to


@contextmanager
def latin1_database(name: str) -> Iterator[str]:
    with connection._nodb_cursor() as server:
        server.execute(f"DROP DATABASE IF EXISTS {name}")
        server.execute(f"CREATE DATABASE {name} ENCODING LATIN1 LOCALE 'C' TEMPLATE template0")
    yield name
    with connection._nodb_cursor() as server:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def found(check, **kwargs):
    return [message.id for message in check(None, **{"databases": ["default"]} | kwargs)]


@pytest.fixture
def _a_day_of_events(db):
    for hour in range(24):
        ActivityEventFactory(occurred_at=datetime(2026, 11, 16, hour, 30, tzinfo=UTC))


def test_every_check_is_registered():
    names = {check.__name__ for check in registry.get_checks(include_deployment_checks=True)}

    assert names >= {
        "rule_types_are_complete",
        "awards_are_paid_once",
        "settings_are_unchanged",
        "the_encoding_is_utf8",
        "no_right_is_missing",
        "sequences_are_ahead",
        "commits_outlive_a_crash",
        "clocks_agree",
    }


@pytest.mark.usefixtures("_a_day_of_events")
def test_nothing_is_found_where_all_is_well():
    messages = run_checks(databases=["default"])

    assert [message.id for message in messages if message.id.startswith("rewards.")] == []


@pytest.mark.parametrize("name", ["RULE_TYPE_SPECS", "EVALUATORS"])
def test_a_rule_type_without_its_row_is_found(name, monkeypatch):
    rows = {rule_type: RULE_TYPE_SPECS[rule_type] for rule_type in list(RuleType)[1:]}
    monkeypatch.setattr(checks, name, rows)

    (message,) = checks.rule_types_are_complete(None)

    assert (message.id, message.msg) == (
        "rewards.E001",
        f"{name} and RuleType differ in DAILY_LOGIN.",
    )


@pytest.mark.django_db
@pytest.mark.parametrize(
    "harm",
    [
        "DROP CONSTRAINT rewards_scorehistory_award_once",
        "DROP CONSTRAINT rewards_scorehistory_award_once, ADD CONSTRAINT"
        " rewards_scorehistory_award_once UNIQUE (reference_date, user_id, rule_type) DEFERRABLE",
    ],
)
def test_a_missing_or_deferred_constraint_is_found(harm):
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE rewards_scorehistory {harm}")

    assert found(checks.awards_are_paid_once) == ["rewards.E002"]


@pytest.mark.usefixtures("_a_day_of_events")
@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "Asia/Kolkata", "America/Los_Angeles", "Africa/Monrovia"]
)
def test_another_time_zone_is_found(zone, settings):
    settings.REWARDS_TIME_ZONE = zone

    is_other = zone != "Africa/Monrovia"  # where it is the same time all year
    assert found(checks.settings_are_unchanged) == ["rewards.E003"] * is_other


@pytest.mark.django_db
@pytest.mark.parametrize(("value", "expected"), [(1, []), (0, ["rewards.E008"])])
def test_another_min_call_seconds_is_found(value, expected, settings):
    ActivitySettings.objects.create(min_call_seconds=1)
    settings.REWARDS_MIN_CALL_SECONDS = value

    messages = checks.settings_are_unchanged(None, databases=["default"])

    assert [message.id for message in messages] == expected
    assert all("REWARDS_MIN_CALL_SECONDS=0 is not" in message.msg for message in messages)


@pytest.mark.django_db
def test_utf8_is_accepted():
    assert found(checks.the_encoding_is_utf8) == []


@pytest.mark.django_db(transaction=True)
def test_another_encoding_is_found(worker_id):
    with latin1_database(f"rewards_latin1_{worker_id}") as name, connected_to(name):
        (message,) = checks.the_encoding_is_utf8(None, databases=["default"])

    assert message.id == "rewards.E005"
    assert "The encoding of the database is LATIN1" in message.msg


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("revoked", "expected"),
    [
        ("UPDATE ON rewards_score", ["rewards_score: UPDATE"]),
        ("INSERT, SELECT ON rewards_scorehistory", ["rewards_scorehistory: SELECT, INSERT"]),
        ("USAGE ON SEQUENCE rewards_awardrun_id_seq", ["rewards_awardrun: USAGE"]),
        # Rights that nothing needs.
        ("DELETE ON rewards_score", []),
        ("UPDATE ON rewards_scorehistory", []),
        ("UPDATE ON rewards_activityevent", []),
    ],
)
def test_a_missing_right_is_found(revoked, expected):
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE engine")
        cursor.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO engine")
        cursor.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO engine")
        cursor.execute(f"REVOKE {revoked} FROM engine")
        cursor.execute("SET LOCAL ROLE engine")

    messages = checks.no_right_is_missing(None, databases=["default"])
    sequences = checks.sequences_are_ahead(None, databases=["default"])

    assert [message.msg for message in messages] == [
        f"The database role engine lacks rights on {text}." for text in expected
    ]
    assert [message.id for message in messages] == ["rewards.E006"] * len(expected)
    assert sequences == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("value", "expected"), [("max(id)", []), ("max(id) - 1", ["rewards.E007"])]
)
def test_a_sequence_behind_its_table_is_found(value, expected):
    ActivityEventFactory()
    ActivityEventFactory()
    ActivitySettings.objects.create(min_call_seconds=1)  # has no sequence
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT setval('rewards_activityevent_id_seq', {value})"  # noqa: S608
            " FROM rewards_activityevent"
        )

    messages = checks.sequences_are_ahead(None, databases=["default"])

    assert [message.id for message in messages] == expected
    assert all("sequence of rewards_activityevent is behind" in message.msg for message in messages)


@pytest.mark.django_db
def test_a_few_events_on_another_day_are_accepted():
    for number in range(199):
        ActivityEventFactory(occurred_at=datetime(2026, 11, 1 + number % 20, 12, tzinfo=UTC))
    ActivityEventFactory(
        occurred_at=datetime(2026, 11, 16, 23, 30, tzinfo=UTC), business_date="2026-11-17"
    )

    assert found(checks.settings_are_unchanged) == []


@pytest.mark.django_db
@pytest.mark.parametrize("setting", ["on", "off"])
def test_commits_that_a_crash_can_lose_are_found(setting):
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL synchronous_commit = {setting}")

    messages = checks.commits_outlive_a_crash(None, databases=["default"])

    assert {message.id for message in messages} <= {"rewards.E004"}
    names = [message.msg for message in messages if "synchronous_commit" in message.msg]
    assert len(names) == (setting == "off")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("skew", "sentence"),
    [
        (timedelta(seconds=2), None),
        (timedelta(hours=1), "The clock of this machine is +3,600 seconds off the database's"),
        (timedelta(hours=-1), "The clock of this machine is -3,600 seconds off the database's"),
    ],
)
def test_a_wrong_clock_is_found(skew, sentence, monkeypatch):
    now = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: now() + skew)

    messages = checks.clocks_agree(None, databases=["default"])

    assert [message.msg[: len(sentence or "")] for message in messages] == [sentence] * bool(
        sentence
    )
    assert [message.id for message in messages] == ["rewards.W001"] * bool(sentence)


@pytest.mark.django_db
@pytest.mark.parametrize("limit", [None, 50])
@pytest.mark.parametrize("is_private", [True, False])
def test_a_limit_that_nothing_counts_is_a_warning(settings, limit, is_private):
    settings.BROKER_IS_PRIVATE = is_private
    ApiClientFactory(requests_per_second=limit)

    messages = checks.limits_are_counted(None, databases=["default"])

    assert [message.id for message in messages] == ["rewards.W002"] * bool(limit and is_private)


@pytest.mark.parametrize(
    "check",
    [
        checks.awards_are_paid_once,
        checks.settings_are_unchanged,
        checks.the_encoding_is_utf8,
        checks.no_right_is_missing,
        checks.sequences_are_ahead,
        checks.commits_outlive_a_crash,
        checks.clocks_agree,
        checks.limits_are_counted,
    ],
)
def test_the_database_is_queried_only_on_request(check):
    assert found(check, databases=None) == []
