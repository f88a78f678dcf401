import csv
import io
import json
import logging
import os
import pty
import shlex
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection

from rewards.choices import Cadence, RunStatus
from rewards.demo import Bundled
from rewards.models import ActivityEvent, ApiClient, AwardRun, Host, RewardRule, ScoreHistory, User
from rewards.services import demo as demo_service
from rewards.services.demo import LOCK
from tests.factories import ApiClientFactory, HostFactory, RewardRuleFactory, StaffFactory
from tests.processes import ROOT, another_session, environment, own_database

pytestmark = pytest.mark.django_db

EXPECTED = ROOT / "tests/sample/expected-utc.csv"

TUESDAY = datetime(2026, 11, 24, 3, tzinfo=UTC)
LAST_SUNDAY = date(2026, 11, 22)
SMALL = ("--hosts", "20", "--days", "9")


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
    """Return the ledger of the sample when its last day is `last_day`."""
    with EXPECTED.open() as file:
        _, *rows = csv.reader(file)
    shift = last_day - date(2004, 5, 2)
    return sorted(
        (user, rule_type, date.fromisoformat(day) + shift, int(points))
        for user, rule_type, day, points in rows
    )


def ledger():
    return sorted(
        ScoreHistory.objects.values_list(
            "user__external_id", "rule_type", "reference_date", "points"
        )
    )


def test_the_demo_awards_the_sample(caplog, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "LOCALDB", True)
    logging.getLogger("rewards").addHandler(caplog.handler)

    out, err, code = demo()

    logging.getLogger("rewards").removeHandler(caplog.handler)
    assert (err, code, caplog.records) == ("", 0, [])
    assert ledger() == expected_ledger(LAST_SUNDAY)
    lines = out.splitlines()
    assert lines[:2] == [
        "Imported 7,392 events of 2026-11-05 to 2026-11-22; 574 hosts created.",
        "Wrote 4 rules; awarded 16 days and 3 weeks.",
    ]
    assert "all rules                        1,606        34,335" in lines
    top = lines.index("Top hosts of the week from 2026-11-16 to 2026-11-22")
    assert lines[top + 1] == "  1. cm-308                                      435"
    assert lines[top + 10].startswith(" 10. ")
    assert lines[top + 11] == ""
    assert "Run `python manage.py runserver` and open http://127.0.0.1:8000/admin/" in lines
    assert any("keeps running; `python manage.py localdb stop`" in line for line in lines)


def test_the_admin_user_has_the_password_shown():
    out, _, _ = demo(*SMALL, "--format", "json")

    admin = json.loads(out)["admin"]
    user = User.objects.get(username="admin")
    assert admin["username"] == "admin"
    assert user.check_password(admin["password"])
    assert len(admin["password"]) == 16
    assert (user.is_superuser, user.is_staff) == (True, True)


def test_the_curl_line_sends_an_event(client):
    out, _, _ = demo(*SMALL)

    (line,) = (line for line in out.splitlines() if line.startswith("curl "))
    _, address, *options = shlex.split(line)
    headers = dict(text.split(": ") for text in options[1::2][:-1])
    assert options[::2] == ["-H", "-H", "-d"]
    answer = client.post(
        urlsplit(address).path,
        options[-1],
        headers.pop("Content-Type"),
        headers={name.lower(): value for name, value in headers.items()},
    )
    assert answer.status_code == 200, answer.content
    assert answer.json()["stored"] == 1
    assert ActivityEvent.objects.filter(source="app", business_date=TUESDAY.date()).count() == 1


def test_no_client_is_created_beside_another():
    ApiClientFactory()

    assert demo_service.make_client(now=TUESDAY) is None


@pytest.mark.parametrize("user", [{"is_superuser": True}, {"username": "admin"}])
def test_no_admin_is_created_beside_another(user):
    StaffFactory(**user)

    assert demo_service.make_admin() is None
    assert User.objects.count() == 1


@pytest.mark.parametrize("later", [timedelta(), timedelta(weeks=3)])
def test_a_second_run_changes_nothing(monkeypatch, later):
    first, _, _ = demo(*SMALL, "--format", "json")
    before = everything()
    set_now(monkeypatch, TUESDAY + later)

    out, err, code = demo(*SMALL)
    report, _, _ = demo(*SMALL, "--format", "json")

    assert (err, code) == ("", 0)
    assert everything() == before
    assert out.startswith("Nothing to do: the demo of 2026-11-14 to 2026-11-22 is complete.\n")
    assert "There is an admin user already" in out
    assert "curl" not in out
    first, second = json.loads(first), json.loads(report)
    assert second.pop("admin")["password"] is None
    assert second.pop("api")["key"] is None
    del first["admin"], first["api"]
    changed = {"is_changed": True, "stored": 133, "hosts_created": 12, "rules_written": 4}
    assert first == second | changed | {"runs": 11}
    assert (second["events"], second["stored"], second["runs"]) == (133, 0, 0)


def test_rules_are_in_force_before_activity_is_imported(monkeypatch):
    # A tick of beat may award the days at any time.
    import_activity = demo_service.import_activity
    rules = []

    def importing(**kwargs):
        rules.append(RewardRule.objects.count())
        return import_activity(**kwargs)

    monkeypatch.setattr(demo_service, "import_activity", importing)
    demo("--hosts", "3", "--days", "2")

    assert rules == [4, 4]


def test_a_rule_changed_since_stays_unchanged():
    demo(*SMALL)
    RewardRuleFactory(starts_on=TUESDAY.date() + timedelta(days=1), points=99)
    before = everything()

    _, err, code = demo(*SMALL)

    assert (err, code) == ("", 0)
    assert everything() == before


def test_an_interrupted_demo_is_completed_in_a_later_week(monkeypatch):
    award = demo_service.award

    def interrupted_at_the_first_week(*, period, **kwargs):
        if period.cadence == Cadence.WEEKLY:
            raise KeyboardInterrupt
        return award(period=period, **kwargs)

    monkeypatch.setattr(demo_service, "award", interrupted_at_the_first_week)
    _, err, code = demo()
    assert (err, code) == ("Interrupted; safe to run again.", 130)
    monkeypatch.setattr(demo_service, "award", award)
    set_now(monkeypatch, TUESDAY + timedelta(weeks=1))

    out, err, code = demo()

    assert (err, code) == ("", 0)
    assert ledger() == expected_ledger(LAST_SUNDAY)
    assert "days and 3 weeks" in out


def test_periods_beyond_the_grace_period_are_awarded(monkeypatch, settings):
    # A tick awarded the first week before all of its activity was imported.
    settings.REWARDS_GRACE_DAYS = 0
    demo(*SMALL)
    before = ledger()
    AwardRun.objects.update(events_seen=1)

    out, _, _ = demo(*SMALL, "--format", "json")

    assert json.loads(out)["runs"] == 11  # one of the 12 has a single event
    assert ledger() == before


@pytest.mark.parametrize(
    ("zone", "now", "last_day"),
    [
        # 14 hours ahead: Monday there, and Sunday in UTC.
        ("Pacific/Kiritimati", datetime(2026, 11, 22, 11, tzinfo=UTC), "2026-11-15"),
        ("Pacific/Kiritimati", datetime(2026, 11, 23, 0, tzinfo=UTC), "2026-11-22"),
        # 11 hours behind: Sunday there, and Monday in UTC.
        ("Pacific/Pago_Pago", datetime(2026, 11, 23, 10, tzinfo=UTC), "2026-11-15"),
        ("Pacific/Pago_Pago", datetime(2026, 11, 23, 11, tzinfo=UTC), "2026-11-22"),
    ],
)
def test_the_last_week_has_ended_in_every_time_zone(zone, now, last_day, monkeypatch, settings):
    settings.REWARDS_TIME_ZONE = zone
    set_now(monkeypatch, now)

    out, err, code = demo("--hosts", "20", "--days", "7", "--format", "json")

    report = json.loads(out)
    assert (err, code) == ("", 0)
    assert report["last_day"] == last_day
    # Rules are in force on all days with activity: west of Greenwich, also on the Sunday before.
    first = ActivityEvent.objects.order_by("business_date")[0].business_date
    assert RewardRule.objects.order_by("starts_on")[0].starts_on <= first
    assert ScoreHistory.objects.filter(reference_date=first).exists()


def test_synthetic_activity_has_the_size_asked_for():
    out, err, code = demo("--hosts", "40", "--days", "9", "--format", "json")

    report = json.loads(out)
    assert (err, code) == ("", 0)
    assert (report["first_day"], report["last_day"]) == ("2026-11-14", "2026-11-22")
    assert report["events"] == report["stored"] == ActivityEvent.objects.count()
    assert 0 < report["hosts_created"] == Host.objects.count() <= 40
    assert sum(row["awards"] for row in report["totals"]) == ScoreHistory.objects.count() > 0
    assert report["runs"] == AwardRun.objects.count()


def test_a_quiet_demo_prints_nothing_and_creates_no_user():
    out, err, code = demo(*SMALL, "--verbosity", "0")

    assert (out, err, code) == ("", "", 0)
    assert ScoreHistory.objects.exists()
    assert not User.objects.filter(is_staff=True).exists()
    assert not ApiClient.objects.exists()


def test_a_failed_run_is_an_error(monkeypatch):
    award = demo_service.award

    def failing(**kwargs):
        report = award(**kwargs)
        if str(report.period) == "week 2026-11-16":
            return type(report)(
                **{field: getattr(report, field) for field in report.__slots__}
                | {"status": RunStatus.PARTIAL, "error": "No batch."}
            )
        return report

    monkeypatch.setattr(demo_service, "award", failing)

    assert demo(*SMALL) == ("", "week 2026-11-16: No batch.", 4)


def test_a_changed_host_of_the_demo_is_an_error():
    demo(*SMALL)
    User.objects.filter(external_id="host-1").update(is_host=False)

    _, err, code = demo(*SMALL)

    assert (code, err) == (
        1,
        "1 row of the demo could not be stored: hosts or events of an earlier demo were changed.",
    )


@pytest.mark.parametrize("make", [HostFactory, RewardRuleFactory])
def test_a_database_with_other_data_is_refused(make):
    make()
    before = everything()

    out, err, code = demo()

    assert (out, code) == ("", 2)
    assert err == (
        "The database contains hosts, activity or rules of something else; the demo needs an "
        "empty one: name it in DATABASE_URL, or unset that and name a new folder in LOCALDB_DIR."
    )
    assert everything() == before


def test_a_demo_of_another_size_is_refused():
    demo("--hosts", "3", "--days", "2")

    _, err, code = demo("--hosts", "4", "--days", "2")

    assert code == 2
    assert "of something else" in err


@pytest.mark.parametrize("text", ["0", "-1", "1_000", "１２", "many", "5000001"])
def test_a_bad_size_is_refused(text):
    with pytest.raises(CommandError, match="from 1 to 5,000,000"):
        call_command("demo", f"--hosts={text}")

    assert not RewardRule.objects.exists()


def test_a_second_process_is_refused():
    with another_session() as other:
        other.execute("SELECT pg_advisory_lock(%s)", [LOCK])

        refused = demo(*SMALL)

        other.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
    assert refused == ("", "The demo is already running in another process.", 3)
    assert not RewardRule.objects.exists()


def test_the_lock_is_freed():
    demo("--hosts", "1", "--days", "1")

    with another_session() as other:
        assert other.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone() == (True,)
        other.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def test_a_database_with_other_tables_is_refused():
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA other")
        cursor.execute("SET LOCAL search_path = other")
        demo_service.require_usable_database(activity=Bundled())
        cursor.execute("CREATE TABLE invoice (id int)")

        out, err, code = demo()

        assert connection.introspection.table_names() == ["invoice"]
    assert (out, code) == ("", 2)
    assert err.startswith("The database contains tables of something else, such as 'invoice'; the")


@pytest.fixture
def empty_database(django_db_blocker):
    """Let the test work in a new database without any table."""
    with django_db_blocker.unblock(), own_database(f"demo_{os.getpid()}"):
        yield


def test_an_empty_database_is_migrated_and_filled(empty_database):
    terminal, screen = pty.openpty()

    process = subprocess.run(
        [sys.executable, "manage.py", "demo", "--hosts", "20", "--days", "3", "--format", "json"],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=screen,
        check=False,
    )

    os.close(screen)
    shown = os.read(terminal, 100_000).decode()
    os.close(terminal)
    assert process.returncode == 0
    assert json.loads(process.stdout)["totals"]
    for stage, step in [("Preparing", 50), ("Importing", 33), ("Awarding ", 25)]:
        assert f"\r{stage} [{'#' * (30 * step // 100)}" in shown
        assert f" {step} %" in shown
        assert f"\r{stage} [{'#' * 30}] 100 %" in shown
