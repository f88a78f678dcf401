"""With a wrong setting, the process does not start, and one line names the setting."""

import os
import re
import runpy

import environ
import pytest
from django.core.exceptions import ImproperlyConfigured

from tests.processes import ROOT, finish, start

KEY = "4cC/6ZPzQ0rBzJ5mV2o8Yk9tXw1uL3nHsE7dRfGbTqAiWjKp"
PRODUCTION = {
    "DATABASE_URL": "postgresql://user:pass-word@db.example:5432/rewards",
    "SECRET_KEY": KEY + "+50",
    "ALLOWED_HOSTS": "rewards.example",
}


@pytest.fixture
def settings_of(monkeypatch):
    """Return a function that reads the settings from its arguments only."""

    def read(**environment):
        environment = {name: value for name, value in environment.items() if value is not None}
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        monkeypatch.setattr(os, "environ", kept | environment)
        monkeypatch.setattr(environ.Env, "ENVIRON", os.environ)
        monkeypatch.setattr(environ.Env, "read_env", lambda *args: None)
        return runpy.run_path(str(ROOT / "rewards_site" / "settings.py"))

    return read


def test_without_settings_it_is_a_trial(settings_of):
    settings = settings_of()

    assert settings["DEBUG"] is True
    assert settings["DATABASES"]["default"]["ENGINE"] == "localservers.django_backend"
    assert settings["REWARDS_TIME_ZONE"] == "UTC"


def test_with_a_database_url_it_is_production(settings_of):
    settings = settings_of(**PRODUCTION)

    database = settings["DATABASES"]["default"]
    assert settings["DEBUG"] is False
    assert settings["ALLOWED_HOSTS"] == ["rewards.example"]
    assert database["ENGINE"] == "django.db.backends.postgresql"
    assert (database["HOST"], database["PORT"], database["NAME"]) == ("db.example", 5432, "rewards")
    assert settings["SESSION_COOKIE_SECURE"] is settings["CSRF_COOKIE_SECURE"] is True
    assert settings["USE_TZ"] is True


@pytest.mark.parametrize(("value", "is_prepared"), [(None, True), ("true", True), ("false", False)])
def test_statements_are_prepared_unless_the_pooler_cannot(value, is_prepared, settings_of):
    options = settings_of(**PRODUCTION, DATABASE_PREPARE=value)["DATABASES"]["default"]["OPTIONS"]

    # psycopg prepares nothing with None, and by itself only after so many executions.
    assert options["prepare_threshold"] == (2**31 if is_prepared else None)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        # what production needs
        ({"SECRET_KEY": None}, "SECRET_KEY is not set: it signs sessions"),
        ({"SECRET_KEY": ""}, "SECRET_KEY is not set: it signs sessions"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY is too weak: use 50 or more random characters"),
        ({"SECRET_KEY": "ab" * 40}, "SECRET_KEY is too weak: use 50 or more random characters"),
        ({"SECRET_KEY": "django-insecure-" + KEY}, "SECRET_KEY is too weak: use 50 or more"),
        ({"ALLOWED_HOSTS": None}, "ALLOWED_HOSTS is not set: name the hosts served"),
        ({"ALLOWED_HOSTS": " , "}, "ALLOWED_HOSTS is not set: name the hosts served"),
        ({"ALLOWED_HOSTS": "a.example,*"}, "ALLOWED_HOSTS='*' serves any host name; name"),
        ({"DATABASE_URL": None, "DEBUG": "false"}, "DATABASE_URL is not set: production needs its"),
        # another database, by name and before anything else is asked for
        ({"DATABASE_URL": "sqlite:///db.sqlite3"}, "names the engine 'sqlite'; only postgresql://"),
        (
            {"DATABASE_URL": "sqlite:///db.sqlite3", "SECRET_KEY": None},
            "names the engine 'sqlite'; only postgresql://",
        ),
        ({"DATABASE_URL": "mysql://u@h/d"}, "names the engine 'mysql'; only postgresql://"),
        ({"DATABASE_URL": "rewards"}, "names the engine ''; only postgresql://"),
        ({"DATABASE_URL": "postgres://u:pass-word@h:x/d"}, "DATABASE_URL cannot be read; use "),
        ({"DATABASE_URL": "postgres://u:pass-word@h:99999/d"}, "DATABASE_URL cannot be read; use "),
        ({"DATABASE_URL": "postgres://u:pass-word@h:5432"}, "DATABASE_URL names no database; use "),
        ({"REWARDS_SERVE": "both"}, "REWARDS_SERVE='both' is not one of all, admin, api."),
        # switches, numbers, zones
        ({"DEBUG": "maybe"}, "DEBUG='maybe' is neither true nor false"),
        ({"DEBUG": "2"}, "DEBUG='2' is neither true nor false"),
        ({"DEBUG": ""}, "DEBUG='' is neither true nor false"),
        ({"SECURE_SSL_REDIRECT": "x" * 99}, f"SECURE_SSL_REDIRECT='{'x' * 79} is neither true nor"),
        (
            {"REWARDS_BATCH_SIZE": "0"},
            "REWARDS_BATCH_SIZE='0' is not a whole number from 1 to 1000",
        ),
        ({"REWARDS_BATCH_SIZE": "1e9"}, "REWARDS_BATCH_SIZE='1e9' is not a whole number from 1 to"),
        ({"REWARDS_BATCH_SIZE": "1_000"}, "REWARDS_BATCH_SIZE='1_000' is not a whole number"),
        (
            {"REWARDS_BATCH_SIZE": "１２"},
            "REWARDS_BATCH_SIZE='\\uff11\\uff12' is not a whole number",
        ),
        ({"REWARDS_BATCH_SIZE": "9" * 5_000}, "REWARDS_BATCH_SIZE='9999"),
        ({"REWARDS_MIN_CALL_SECONDS": "-1"}, "REWARDS_MIN_CALL_SECONDS='-1' is not a whole number"),
        ({"REWARDS_MIN_CALL_SECONDS": "0" * 12 + "99999999"}, "REWARDS_MIN_CALL_SECONDS='0000"),
        ({"REWARDS_MIN_CALL_SECONDS": "abc"}, "REWARDS_MIN_CALL_SECONDS='abc' is not a whole"),
        ({"REWARDS_MIN_CALL_SECONDS": "86401"}, "is not a whole number from 0 to 86400"),
        ({"DATABASE_LOCK_TIMEOUT": "0"}, "DATABASE_LOCK_TIMEOUT='0' is not a whole number from 1"),
        ({"REWARDS_TIME_ZONE": "Mars/X"}, "REWARDS_TIME_ZONE='Mars/X' is not a time zone; use a"),
        ({"REWARDS_TIME_ZONE": "Europe"}, "REWARDS_TIME_ZONE='Europe' is not a time zone"),
        ({"REWARDS_TIME_ZONE": ""}, "REWARDS_TIME_ZONE='' is not a time zone"),
        ({"REWARDS_TIME_ZONE": "../passwd"}, "REWARDS_TIME_ZONE='../passwd' is not a time zone"),
        ({"REWARDS_TIME_ZONE": "a\nb"}, "REWARDS_TIME_ZONE contains a line break or another"),
        ({"SERVER_EMAIL": "a\x00b@c"}, "SERVER_EMAIL contains a line break or another control"),
        # zones that are another one on another machine, or count leap seconds
        ({"REWARDS_TIME_ZONE": "localtime"}, "REWARDS_TIME_ZONE='localtime' is not a time zone"),
        ({"REWARDS_TIME_ZONE": "posixrules"}, "REWARDS_TIME_ZONE='posixrules' is not a time zone"),
        ({"REWARDS_TIME_ZONE": "Factory"}, "REWARDS_TIME_ZONE='Factory' is not a time zone"),
        ({"REWARDS_TIME_ZONE": "right/UTC"}, "REWARDS_TIME_ZONE='right/UTC' is not a time zone"),
        ({"REWARDS_TIME_ZONE": "posix/UTC"}, "REWARDS_TIME_ZONE='posix/UTC' is not a time zone"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL='loud' is not one of DEBUG, INFO, WARNING, ERROR"),
    ],
)
def test_a_wrong_setting_is_named_without_secrets(environment, message, settings_of):
    with pytest.raises(ImproperlyConfigured) as refusal:
        settings_of(**PRODUCTION | environment)

    said = str(refusal.value)
    assert message in said
    assert said.startswith(tuple(environment))
    assert "\n" not in said
    assert "pass-word" not in said
    assert len(said) < 250


@pytest.mark.parametrize("password", ["se#cret", "se/cret", "se?cret", "12/34", "12#34", "s@1/x"])
@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("DATABASE_URL", "postgresql://user:{}@db.example:5432/rewards"),
        ("CELERY_BROKER_URL", "redis://user:{}@broker.example:6379/0"),
        ("EMAIL_URL", "smtp+tls://user:{}@mail.example:587"),
    ],
)
def test_a_password_without_percent_encoding_is_not_shown(name, url, password, settings_of):
    with pytest.raises(ImproperlyConfigured) as refusal:
        settings_of(**PRODUCTION | {name: url.format(password)})

    message = str(refusal.value)
    assert message.startswith(f"{name} cannot be read; use ")
    assert "percent-encoded" in message
    assert not set(re.split("[#/?@]", password)) & set(re.findall(r"\w+", message))


def test_a_percent_encoded_password_is_decoded(settings_of):
    settings = settings_of(
        **PRODUCTION | {"DATABASE_URL": "postgresql://user:a%23b%2Fc%40d%3F@db.example/rewards"}
    )

    assert settings["DATABASES"]["default"]["PASSWORD"] == "a#b/c@d?"  # noqa: S105


@pytest.mark.parametrize("end", ["\n", "\r\n", " \t"])
def test_a_line_end_after_a_value_is_dropped(end, settings_of):
    environment = PRODUCTION | {
        "DEBUG": "off",
        "LOCALDB_DIR": "/srv/local",
        "CELERY_BROKER_URL": "redis://broker.example/1",
        "REWARDS_TIME_ZONE": "Europe/Berlin",
        "REWARDS_GRACE_DAYS": "5",
        "ADMINS": "a@rewards.example,b@rewards.example",
        "EMAIL_URL": "smtp://mail.example:25",
        "SERVER_EMAIL": "c@rewards.example",
        "LOG_LEVEL": "error",
    }

    expected = settings_of(**environment)
    settings = settings_of(**{name: value + end for name, value in environment.items()})

    names = [name for name in expected if name.isupper() and name != "UNFOLD"]
    assert {name: settings[name] for name in names} == {name: expected[name] for name in names}
    trial = {"SECRET_KEY": "some key" + end, "ALLOWED_HOSTS": "a.example" + end}
    settings = settings_of(**trial)
    assert (settings["SECRET_KEY"], settings["ALLOWED_HOSTS"]) == ("some key", ["a.example"])


@pytest.mark.parametrize("command", ["award_daily", "check", "migrate"])
def test_a_command_with_a_wrong_setting_prints_that_line(command):
    process = start(["manage.py", command], REWARDS_TIME_ZONE="Mars/X")

    assert finish(process) == (
        2,
        "",
        "REWARDS_TIME_ZONE='Mars/X' is not a time zone; use a name such as Europe/Berlin.\n",
    )
