"""Imports that meet each other, a kill, or someone else, as real processes on a real database."""

import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime

from django.db import connection

from rewards.models import ActivityEvent, DailyActivity, Host
from rewards.reports.verify.verification import verify_ledger
from rewards.services.activity import importing
from tests.factories import A_MONDAY, HostFactory
from tests.processes import ROOT, another_session, environment, finish, manage, start

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
HEADER = "event_id,user_id,kind,occurred_at,duration_seconds"


def store(*rows, **kwargs):
    lines = [f"{n},2026-11-16,{row}\n".encode() for n, row in enumerate(rows)]
    return importing.store_rows(
        rows=lines, source="app", **{"create_hosts": False, "now": NOW} | kwargs
    )


def login(number, user="u1"):
    return f"e{number},{user},login,2026-11-16T12:00:00Z,0"


def violations():
    return {each.name for each in verify_ledger(today=A_MONDAY) if each.violations}


def before(beginning, act):
    """Return a wrapper of execute() that calls `act` once, before the statement that begins so."""
    acts = [act]

    def wrapper(execute, sql, params, many, context):
        if acts and sql.strip().startswith(beginning):
            acts.pop()()
        return execute(sql, params, many, context)

    return connection.execute_wrapper(wrapper)


def test_a_user_who_became_a_host_a_moment_later_is_no_conflict(committed):
    def make_host():
        with another_session() as other:
            other.execute(
                "INSERT INTO rewards_user (external_id, username, password, is_host, is_active,"
                " is_staff, is_superuser, first_name, last_name, email, date_joined)"
                " VALUES ('u1', 'host:u1', '!', true, true, false, false, '', '', '', now())"
            )

    with before("SELECT line", make_host):
        stored = store(login(1))

    assert (stored.stored, stored.unknown, stored.conflicts) == (0, {0: "unknown user 'u1'"}, {})


def test_a_host_deleted_at_this_moment_keeps_no_other_row_out(committed):
    gone = HostFactory(external_id="gone")
    HostFactory(external_id="u1")
    other = another_session()

    def begin_to_delete():
        other.autocommit = False
        other.execute("DELETE FROM rewards_user WHERE id = %s", [gone.pk])
        threading.Timer(0.3, other.commit).start()

    with before("WITH stored", begin_to_delete):
        stored = store(login(1, "gone"), login(2))
    other.close()

    assert (stored.stored, stored.unknown) == (1, {0: "unknown user 'gone'"})
    assert violations() == set()


def start_import(path, *, chunk_lines):
    """Start an import of `path`, with new hosts, in a process of its own."""
    script = (
        "import django; django.setup(); from rewards.services.activity import importing;"
        f"importing.CHUNK_LINES = {chunk_lines}; from django.core.management import call_command;"
        f"call_command('import_activity', {str(path)!r}, create_hosts=True, format='json')"
    )
    return start(["-c", script], DJANGO_SETTINGS_MODULE="rewards_site.settings")


def test_two_imports_of_the_same_file_at_once_are_one(committed, tmp_path):
    rows = [login(n, f"u{n % 700}") for n in range(20_000)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join([HEADER, *rows]))

    both = [start_import(path, chunk_lines=500) for _ in range(2)]
    ends = [finish(process) for process in both]

    assert [code for code, *_ in ends] == [0, 0], ends
    assert ActivityEvent.objects.count() == 20_000
    assert Host.objects.count() == DailyActivity.objects.count() == 700
    assert violations() == set()
    assert not list(tmp_path.glob("*.rejected*"))


def test_an_import_killed_in_the_middle_ends_the_same_when_run_again(committed, tmp_path):
    lines = [HEADER, *(login(n, f"u{n % 50}") for n in range(60_000)), "bad"]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(lines))
    process = start_import(path, chunk_lines=20_000)
    while not (whole := ActivityEvent.objects.count()):
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    code, *_ = finish(process)

    assert code == -signal.SIGKILL
    assert whole % 20_000 == 0  # chunks are whole or not there
    assert ActivityEvent.objects.count() < 60_000
    assert violations() == set()

    code, out, _ = manage("import_activity", str(path), "--create-hosts")

    assert (code, ActivityEvent.objects.count(), Host.objects.count()) == (4, 60_000, 50)
    assert "1 rejected (line 1)" in out
    assert violations() == set()


def test_a_pipe_is_read_once_and_whole(committed, tmp_path):
    command = f"{sys.executable} {ROOT}/manage.py import_activity --format json --create-hosts"

    ended = subprocess.run(
        ["/bin/bash", "-c", f"{command} <(printf '{HEADER}\\n{login(1)}\\nbad\\n{login(2)}')"],
        env=environment(), cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (ended.returncode, ActivityEvent.objects.count()) == (4, 2), ended.stderr
    (rejected,) = tmp_path.glob("*.rejected.csv")
    assert "1 cells, expected 5" in rejected.read_text()
