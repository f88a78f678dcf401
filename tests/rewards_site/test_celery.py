"""Settings of every worker and beat."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import rewards_site
from rewards_site.celery import app

PROJECT = Path(__file__).resolve().parents[2]

PRODUCTION = {
    "DEBUG": "false",
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz" * 2,
    "ALLOWED_HOSTS": "rewards.example",
}


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if key != "CELERY_BROKER_URL"}
    return subprocess.run(
        [sys.executable, *command],
        cwd=PROJECT,
        env=inherited | {"DJANGO_SETTINGS_MODULE": "rewards_site.settings"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_django_finds_the_application():
    assert rewards_site.celery_app is app


def test_a_task_is_acknowledged_late_and_its_result_dropped():
    assert app.conf.task_acks_late
    assert app.conf.task_reject_on_worker_lost
    assert app.conf.worker_prefetch_multiplier == 1
    assert app.conf.task_ignore_result
    assert app.conf.result_backend is None


def test_the_time_limits_of_a_task_are_below_its_redelivery():
    visibility = app.conf.broker_transport_options["visibility_timeout"]

    assert app.conf.task_soft_time_limit < app.conf.task_time_limit < visibility


@pytest.mark.parametrize("program", ["worker", "beat"])
def test_workers_and_beat_need_a_broker_in_production(program, transactional_db):
    from django.db import connection

    where = connection.get_connection_params()
    url = f"postgres://{where['user']}:{where['password']}@127.0.0.1:{where['port']}"
    result = run(
        "-m", "celery", "--quiet", "-A", "rewards_site", program,
        DATABASE_URL=f"{url}/{where['dbname']}", **PRODUCTION,
    )  # fmt: skip

    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        "CELERY_BROKER_URL is not set: workers and beat need a Redis or Valkey server; "
        "use redis://user:password@host:port/number."
    )
    assert "Traceback" not in result.stderr


def test_other_processes_need_no_broker_in_production():
    result = run("manage.py", "check", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none",
                 **PRODUCTION)  # fmt: skip

    assert (result.stderr, result.returncode) == ("", 0)


@pytest.mark.parametrize("url", ["amqp://guest@localhost", "sqs://", "localhost:6379"])
def test_another_kind_of_broker_is_refused(url):
    result = run("manage.py", "check", CELERY_BROKER_URL=url)

    assert result.returncode == 2
    assert result.stderr.startswith("CELERY_BROKER_URL names the broker ")
    assert len(result.stderr.splitlines()) == 1
