import csv
import io
import json
import os
import pty
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command

from rewards.choices import Cadence
from rewards.models import ActivityEvent, AwardRun, Host, RewardRule, ScoreHistory, User
from rewards.services import demo as demo_service
from rewards.services.demo import LOCK
from tests.factories import HostFactory, RewardRuleFactory
from tests.processes import ROOT, another_session, environment, manage, own_database

pytestmark = pytest.mark.django_db

EXPECTED = ROOT / "tests/sample/expected-utc.csv"

TUESDAY = datetime(2026, 11, 24, 3, tzinfo=UTC)
LAST_SUNDAY = date(2026, 11, 22)


@pytest.fixture(autouse=True)
def _now(monkeypatch):
    set_now(monkeypatch, TUESDAY)


def set_now(monkeypatch, now):
    monkeypatch.setattr("django.utils.timezone.now", lambda: now)


def demo(*arguments):
    """Return out, err and code."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("demo", *arguments, stdout=out, stderr=err)
    except CommandError as error:
        return out.getvalue(), str(error), error.returncode
    return out.getvalue(), err.getvalue(), 0


def everything():
    """Return all rows of the application's tables."""
    return {
        model.__name__: sorted(model._base_manager.values_list(), key=repr)
        for model in apps.get_app_config("rewards").get_models()
    }


def expected_ledger(last_day):
    """Return the ledger that the sample must give when its last day is `last_day`."""
    with EXPECTED.open() as file:
        _, *rows = csv.reader(file)
    shift = last_day - date(2004, 5, 2)
    return [
        (user, rule_type, date.fromisoformat(day) + shift, int(points))
        for user, rule_type, day, points in rows
    ]


def ledger():
    return sorted(
        ScoreHistory.objects.values_list(
            "user__external_id", "rule_type", "reference_date", "points"
        )
    )


def test_the_demo_pays_exactly_what_the_sample_must_give():
    out, err, code = demo()

    assert (err, code) == ("", 0)
    assert ledger() == sorted(expected_ledger(LAST_SUNDAY))
    assert "Imported 7,392 events of 2026-11-05 to 2026-11-22; 574 hosts created." in out
    assert "Put 4 rules in force; awarded 16 days and 3 weeks." in out
    assert "all rules                        1,606        34,335" in out
    assert "  1. cm-308                                      435" in out


def test_the_admin_user_has_the_password_shown():
    out, _, _ = demo("--format", "json")

    admin = json.loads(out)["admin"]
    user = User.objects.get(username=admin["username"])
    assert user.check_password(admin["password"])
    assert (user.is_superuser, user.is_staff) == (True, True)


@pytest.mark.parametrize("later", [timedelta(), timedelta(weeks=3)])
def test_a_second_run_changes_nothing_and_says_so(monkeypatch, later):
    demo()
    before = everything()
    set_now(monkeypatch, TUESDAY + later)

    out, err, code = demo()

    assert (err, code) == ("", 0)
    assert everything() == before
    assert out.startswith(
        "Nothing to do: the demo of 2026-11-05 to 2026-11-22 is complete, and nothing was changed."
    )
    assert "the password" not in out


def test_a_rule_that_has_been_changed_since_stays_as_it_is():
    demo()
    RewardRuleFactory(starts_on=TUESDAY.date() + timedelta(days=1), points=99)
    before = everything()

    _, err, code = demo()

    assert (err, code) == ("", 0)
    assert everything() == before


def test_a_run_after_an_interrupted_one_completes_it_in_a_later_week_too(monkeypatch):
    award = demo_service.award

    def interrupted_at_the_first_week(*, cadence, **kwargs):
        if cadence == Cadence.WEEKLY:
            raise KeyboardInterrupt
        return award(cadence=cadence, **kwargs)

    monkeypatch.setattr(demo_service, "award", interrupted_at_the_first_week)
    _, err, code = demo()
    assert (err, code) == ("Interrupted; safe to run again.", 130)
    monkeypatch.setattr(demo_service, "award", award)
    set_now(monkeypatch, TUESDAY + timedelta(weeks=1))

    out, err, code = demo()

    assert (err, code) == ("", 0)
    assert ledger() == sorted(expected_ledger(LAST_SUNDAY))
    assert "days and 3 weeks" in out


def test_every_zone_has_all_days_closed_and_all_activity_in_the_past(monkeypatch, settings):
    settings.REWARDS_TIME_ZONE = "Pacific/Kiritimati"  # 14 hours ahead: Monday there
    set_now(monkeypatch, datetime(2026, 11, 22, 11, tzinfo=UTC))

    out, err, code = demo("--format", "json")

    assert (err, code) == ("", 0)
    assert json.loads(out)["last_day"] == "2026-11-15"


def test_made_up_activity_of_the_size_asked_for():
    out, err, code = demo("--hosts", "40", "--days", "9", "--format", "json")

    report = json.loads(out)
    assert (err, code) == ("", 0)
    assert (report["first_day"], report["last_day"]) == ("2026-11-14", "2026-11-22")
    assert report["events"] == report["stored"] == ActivityEvent.objects.count()
    assert 0 < report["hosts_created"] == Host.objects.count() <= 40
    assert sum(each["awards"] for each in report["totals"]) == ScoreHistory.objects.count() > 0
    assert report["runs"] == AwardRun.objects.count()


def test_a_second_run_of_made_up_activity_changes_nothing():
    demo("--hosts", "40", "--days", "9")
    before = everything()

    out, err, code = demo("--hosts", "40", "--days", "9", "--format", "json")

    report = json.loads(out)
    assert (err, code) == ("", 0)
    assert everything() == before
    assert (report["is_changed"], report["stored"], report["runs"]) == (False, 0, 0)


def test_quiet_prints_nothing_and_makes_no_user_whose_password_nobody_saw():
    out, err, code = demo("--verbosity", "0")

    assert (out, err, code) == ("", "", 0)
    assert ScoreHistory.objects.count() == 1_606
    assert not User.objects.filter(is_staff=True).exists()


def test_a_database_with_other_data_is_left_alone():
    HostFactory()
    before = everything()

    out, err, code = demo()

    assert (out, code) == ("", 2)
    assert err == (
        "the database holds hosts, activity or rules that are not this demo's; the demo needs an "
        "empty one: name it in DATABASE_URL, or leave that unset and name a new folder in "
        "LOCALDB_DIR."
    )
    assert everything() == before


def test_a_demo_of_another_size_needs_another_database():
    demo("--hosts", "3", "--days", "2")

    _, err, code = demo("--hosts", "4", "--days", "2")

    assert code == 2
    assert "not this demo's" in err


@pytest.mark.parametrize("text", ["0", "-1", "1_000", "１２", "many", "5000001"])
def test_a_size_that_is_none_is_refused_with_what_is_accepted(text):
    with pytest.raises(CommandError, match="from 1 to 5,000,000"):
        call_command("demo", f"--hosts={text}")

    assert not RewardRule.objects.exists()


@pytest.fixture
def empty_database(django_db_blocker):
    """Let the test work in a new database without any table."""
    with django_db_blocker.unblock(), own_database(f"demo_{os.getpid()}"):
        yield


def test_an_empty_database_is_migrated_and_filled(empty_database):
    code, out, err = manage("demo", "--hosts", "20", "--days", "3", "--format", "json")

    assert (err, code) == ("", 0)
    assert json.loads(out)["totals"]


def test_a_second_process_is_told_that_the_first_is_at_it(empty_database):
    with another_session() as other:
        other.execute("SELECT pg_advisory_lock(%s)", [LOCK])

        code, out, err = manage("demo")

    assert (out, code) == ("", 3)
    assert "demo is running already in another process; nothing was done." in err


def test_a_terminal_sees_how_far_it_has_come(empty_database):
    terminal, screen = pty.openpty()

    process = subprocess.run(
        [sys.executable, "manage.py", "demo", "--hosts", "20", "--days", "3"],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=screen,
        check=False,
    )

    os.close(screen)
    shown = os.read(terminal, 100_000).decode()
    os.close(terminal)
    assert process.returncode == 0
    for stage in ("Preparing", "Importing", "Awarding "):
        assert f"\r{stage} [{'#' * 30}] 100 %" in shown


def test_a_database_of_something_else_is_left_alone(empty_database):
    with another_session() as other:
        other.execute("CREATE TABLE invoice (id int)")

        code, out, err = manage("demo")

        tables = other.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        assert tables.fetchall() == [("invoice",)]
    assert (out, code) == ("", 2)
    assert "holds tables of something else (such as 'invoice')" in err
