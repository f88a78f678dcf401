"""REWARDS_SERVE chooses what a web process serves."""

import json
import os
import subprocess
import sys

import pytest

from tests.processes import ROOT
from tests.rewards_site.test_production import PRODUCTION

SCRIPT = """
import django, json
django.setup()
from django.conf import settings
from django.test import Client
key = "Bearer rwd_aaaaaaaa_" + "s" * 43
client = Client(
    raise_request_exception=False, headers={"host": "rewards.example", "authorization": key}
)
answers = {}
for address in ["/", "/admin/login/", "/api/v1/openapi.json", "/api/v1/docs", "/api/v1/none",
                "/api/none", "/none", "/livez", "/readyz", "/admin", "/api/v1/runs"]:
    answer = client.get(address, secure=True)
    answers[address] = [answer.status_code, answer.headers.get("Content-Type", ""),
                        sorted(answer.cookies), "Content-Security-Policy" in answer.headers]
print(json.dumps({"middleware": settings.MIDDLEWARE, "answers": answers}))
"""

HTML = "text/html; charset=utf-8"
PROBLEM = "application/problem+json"


def run(serve, *arguments, **environment):
    inherited = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "rewards_site.settings"}
    return subprocess.run(
        [sys.executable, *arguments],
        env=inherited | PRODUCTION | {"REWARDS_SERVE": serve} | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def served_by(serve):
    # The files of the pages are not collected, and Django's own error pages must not show either.
    return json.loads(run(serve, "-c", SCRIPT, DEBUG="true").stdout)


def test_a_process_of_the_api_has_no_pages_and_no_sessions():
    served = served_by("api")

    answers = served["answers"]
    for address in ("/", "/admin", "/admin/login/", "/none", "/api/none", "/api/v1/none"):
        assert answers[address][:2] == [404, PROBLEM], address
    assert answers["/api/v1/openapi.json"][:2] == [200, "application/json"]
    assert answers["/api/v1/docs"] == [200, HTML, [], True]
    assert answers["/livez"][:2] == [200, "application/json"]
    names = " ".join(served["middleware"])
    for word in ("session", "csrf", "csp", "auth", "message", "axes"):
        assert word not in names.lower()


def test_a_process_of_the_admin_has_no_api():
    answers = served_by("admin")["answers"]

    for address in ("/api/v1/openapi.json", "/api/v1/docs", "/api/none", "/none"):
        assert answers[address][:2] == [404, HTML], address
    assert answers["/admin/login/"] == [200, HTML, ["csrftoken"], True]
    assert answers["/livez"][:2] == [200, "application/json"]


def test_by_default_a_process_serves_both():
    answers = served_by("all")["answers"]

    assert answers["/api/v1/openapi.json"][0] == 200
    assert answers["/admin/login/"][0] == 200
    assert answers["/api/v1/none"][:2] == [404, PROBLEM]
    assert answers["/none"][:2] == [404, HTML]


def test_an_absent_database_is_busy_and_not_ready():
    answers = served_by("api")["answers"]  # no database listens at the address of these settings

    assert answers["/api/v1/runs"][:2] == [503, PROBLEM]
    assert answers["/readyz"][:2] == [503, PROBLEM]
    assert answers["/livez"][0] == 200


@pytest.mark.parametrize("serve", ["all", "admin", "api"])
def test_the_deployment_check_finds_nothing(serve):
    done = run(serve, "manage.py", "check", "--deploy", "--fail-level", "WARNING")

    assert done.returncode == 0, done.stderr


def test_another_word_is_refused():
    done = run("both", "manage.py", "check")

    assert (done.returncode, done.stderr) == (
        2,
        "REWARDS_SERVE='both' is not one of all, admin, api.\n",
    )
