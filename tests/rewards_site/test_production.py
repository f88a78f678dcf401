"""The settings as production has them."""

import json
import os
import subprocess
import sys

import pytest

PRODUCTION = {
    "DEBUG": "false",
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "ALLOWED_HOSTS": "rewards.example",
    "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
    "SECRET_KEY": "".join(map(chr, range(48, 123))),
}


def run(*arguments):
    environment = {"PATH": os.environ["PATH"], **PRODUCTION}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )


def test_the_deployment_check_finds_nothing():
    done = run("manage.py", "check", "--deploy", "--fail-level", "WARNING")

    assert (done.returncode, done.stdout) == (
        0,
        "System check identified no issues (0 silenced).\n",
    )


@pytest.fixture(scope="module")
def production():
    """The settings of a production process that the tests ask about."""
    script = """
import json
from rewards_site import settings
plain = {k: v for k, v in vars(settings).items() if isinstance(v, str | int | tuple)}
print(json.dumps(plain))
"""
    return json.loads(run("-c", script).stdout)


@pytest.mark.parametrize("cookie", ["SESSION", "CSRF"])
def test_cookies_need_tls_and_are_hidden_from_scripts(production, cookie):
    assert production[f"{cookie}_COOKIE_NAME"].startswith("__Host-")
    assert production[f"{cookie}_COOKIE_SECURE"] is True
    assert production[f"{cookie}_COOKIE_HTTPONLY"] is True
    assert production[f"{cookie}_COOKIE_SAMESITE"] == "Lax"
    # What a name that begins with __Host- promises.
    assert f"{cookie}_COOKIE_DOMAIN" not in production
    assert f"{cookie}_COOKIE_PATH" not in production


def test_everything_goes_over_tls(production):
    assert production["SECURE_SSL_REDIRECT"] is True
    assert production["SECURE_HSTS_SECONDS"] == 31_536_000


def test_forwarded_addresses_are_not_trusted_by_default(production):
    assert production["TRUSTED_PROXIES"] == 0
    assert "SECURE_PROXY_SSL_HEADER" not in production
