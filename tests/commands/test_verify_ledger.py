"""verify_ledger from the outside."""

import json

import pytest

from rewards.models import Score
from rewards.reports.verify.verification import verify_ledger
from tests.reports.awarded_week import TODAY, create_awarded_week

pytestmark = pytest.mark.django_db


@pytest.fixture
def _broken_score():
    create_awarded_week()
    Score.objects.filter(lifetime=10).update(lifetime=17)


def test_an_intact_ledger_is_reported_with_the_rows_checked(manage):
    code, out, err = manage("verify_ledger")

    assert (code, err) == (0, "")
    assert out.splitlines()[0] == (
        "I1  ok                 0 checked         0 violations  "
        "at most one award per host, rule type and reference date stands"
    )
    assert all(line.split()[1] == "ok" for line in out.splitlines())


@pytest.mark.usefixtures("_broken_score")
def test_a_violation_is_listed_and_ends_with_code_5(manage):
    code, out, err = manage("verify_ledger")

    assert (code, err) == (5, "CommandError: Broken invariants: I3, I19.\n")
    lines = out.splitlines()
    assert lines[2:4] == [
        "I3  BROKEN             2 checked          1 violation  "
        "each host's lifetime equals the sum of its awards",
        "    host bo: lifetime 17 points, ledger 10",
    ]


@pytest.mark.usefixtures("_broken_score")
def test_json_is_the_verification(manage):
    code, out, _ = manage("verify_ledger", "--format", "json")

    assert code == 5
    answer = json.loads(out)
    assert answer == {"repair": None} | verify_ledger(today=TODAY).to_dict()
    assert answer["invariants"][2] == {
        "name": "I3",
        "sentence": "each host's lifetime equals the sum of its awards",
        "checked": 2,
        "violations": 1,
        "examples": ["host bo: lifetime 17 points, ledger 10"],
    }


@pytest.mark.usefixtures("_broken_score")
def test_scores_are_repaired_on_request(manage):
    example = "    bo: lifetime 17 -> 10, daily 0, weekly 10"

    code, out, _ = manage("verify_ledger", "--repair-scores", "--dry-run")
    assert (code, out.splitlines()[:2]) == (
        5,
        ["Would rebuild 1 score from the ledger.", example],
    )

    code, out, err = manage("verify_ledger", "--repair-scores")
    assert (code, out.splitlines()[:2], err) == (
        0,
        ["Rebuilt 1 score from the ledger.", example],
        "",
    )

    code, out, _ = manage("verify_ledger", "--repair-scores", "--format", "json")
    assert json.loads(out)["repair"] == {"scores": 0, "examples": [], "is_dry_run": False}


def test_a_dry_run_is_of_a_repair(manage):
    assert manage("verify_ledger", "--dry-run") == (
        2,
        "",
        "CommandError: --dry-run is used with --repair-scores: nothing else is written.\n",
    )
