"""What the OpenAPI document promises, asked of a running server by schemathesis.

Generated requests, valid and not: each answer is documented, in its status, its media type and its
keys; nothing is an error of the server; a request without a key, with an invalid value or with
another method is refused.
"""

import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rewards.choices import RuleType, RunTrigger
from rewards.engine.business_days import ONE_DAY
from rewards.models import AwardRun
from rewards.reports.verify.verification import verify_ledger
from tests.awards import award_daily
from tests.factories import (
    A_MONDAY,
    ApiKeyFactory,
    HostFactory,
    RewardRuleFactory,
    key_text,
)
from tests.processes import start, wait_until
from tests.reports.awarded_week import act

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
CONFIG = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = 30
"""Generated requests of each operation and phase."""


@pytest.fixture
def address(committed):
    """The address of an API that knows a host, its awards and a run."""
    RewardRuleFactory()
    RewardRuleFactory(rule_type=RuleType.WEEKLY_CONSISTENCY)
    for name in ("ana", "bo"):
        act(HostFactory(external_id=name), A_MONDAY)
    award_daily(day=A_MONDAY, now=NOW, trigger=RunTrigger.COMMAND)
    assert AwardRun.objects.get().pk == 1
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        bind = f"127.0.0.1:{probe.getsockname()[1]}"
    server = start(
        ["-m", "gunicorn", "rewards_site.wsgi", "--bind", bind, "--threads", "4"],
        REWARDS_SERVE="api",
        LOG_LEVEL="CRITICAL",  # thousands of refusals would fill the pipe
    )
    wait_until(lambda: is_alive(f"http://{bind}"))
    yield f"http://{bind}"
    server.terminate()
    server.wait()


def is_alive(address):
    try:
        with urllib.request.urlopen(f"{address}/livez"):  # noqa: S310 - our own server
            return True
    except (urllib.error.URLError, ConnectionError):
        return False


def test_every_answer_is_as_documented(address, tmp_path):
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run"]
    options = {
        "--header": f"Authorization: Bearer {key_text(ApiKeyFactory())}",
        "--max-examples": str(EXAMPLES),
        "--seed": "1",
        "--generation-database": "none",
    }

    contract = subprocess.run(
        [
            *command,
            f"{address}/api/v1/openapi.json",
            "--continue-on-failure",
            "--no-color",
            *(word for option in options.items() for word in option),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert contract.returncode == 0, contract.stdout + contract.stderr
    operations, of = re.findall(r"Operations: +(\d+) selected / (\d+) total", contract.stdout)[0]
    assert operations == of
    assert int(re.findall(r"(\d+) generated", contract.stdout)[0]) > 500
    assert verify_ledger(today=A_MONDAY + ONE_DAY).broken == []
