"""Concurrent imports, changes by others, and kills: real processes on a real database."""

import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from django.core.management import call_command
from django.db import connection

from rewards.models import ActivityEvent, DailyActivity, Host
from rewards.reports.verify.verification import verify_ledger
from rewards.services.activity.storing import store_rows
from tests.factories import A_MONDAY, HostFactory
from tests.processes import (
    ROOT,
    another_session,
    environment,
    finish,
    start,
    wait_until,
    wait_until_blocked,
    waiting_sessions,
)

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
HEADER = "event_id,user_id,kind,occurred_at,duration_seconds"


def store(*rows, **kwargs):
    lines = [f"{n},2026-11-16,{row}\n".encode() for n, row in enumerate(rows)]
    return store_rows(rows=lines, source="app", **{"create_hosts": False, "now": NOW} | kwargs)


def login(number, user="u1"):
    return f"e{number},{user},login,2026-11-16T12:00:00Z,0"


def violations():
    return set(verify_ledger(today=A_MONDAY).broken)


def before(beginning, act):
    """Return a wrapper of execute() that calls `act` once, before the statement that begins so."""
    acts = [act]

    def wrapper(execute, sql, params, many, context):
        if acts and sql.strip().startswith(beginning):
            acts.pop()()
        return execute(sql, params, many, context)

    return connection.execute_wrapper(wrapper)


def test_a_host_created_after_the_look_up_is_no_conflict(committed):
    def create_host():
        with another_session() as other:
            other.execute(
                "INSERT INTO rewards_user (external_id, username, password, is_host, is_active,"
                " is_staff, is_superuser, first_name, last_name, email, date_joined)"
                " VALUES ('u1', 'host:u1', '!', true, true, false, false, '', '', '', now())"
            )

    with before("SELECT line", create_host):
        stored = store(login(1))

    assert (stored.stored, stored.rejected) == (0, {0: ("user", "Unknown user 'u1'.")})


def test_a_host_deleted_meanwhile_keeps_no_other_row_out(committed):
    deleted = HostFactory(external_id="deleted")
    HostFactory(external_id="u1")
    other = another_session()

    def begin_to_delete():
        other.autocommit = False
        other.execute("DELETE FROM rewards_user WHERE id = %s", [deleted.pk])
        threading.Timer(0.3, other.commit).start()

    with before("WITH stored", begin_to_delete):
        stored = store(login(1, "deleted"), login(2))
    other.close()

    assert (stored.stored, list(stored.rejected)) == (1, [0])
    assert violations() == set()


INSERT_EVENT = (
    "INSERT INTO rewards_activityevent (source, event_id, user_id, kind, occurred_at,"
    " duration_seconds, business_date)"
    " VALUES ('app', %s, %s, 'login', '2026-11-16T12:00:00Z', 0, '2026-11-16')"
)
INSERT_DAY = (
    "INSERT INTO rewards_dailyactivity (date, user_id, logins, audio_calls, video_calls,"
    " audio_seconds, video_seconds) VALUES ('2026-11-16', %s, 1, 0, 0, 0, 0)"
)


@pytest.mark.parametrize("table", ["events", "days"])
def test_imports_write_in_the_same_order(table, committed):
    # Another transaction writes the first row, and the second one while the import waits for it.
    first, second = (HostFactory(external_id=f"u{n}").pk for n in (1, 2))
    if table == "events":
        lines = login(2, "u1"), login(1, "u1")
        inserts = (INSERT_EVENT, ["e1", first]), (INSERT_EVENT, ["e2", first])
    else:
        lines = login(1, "u2"), login(2, "u1")
        inserts = (INSERT_DAY, [first]), (INSERT_DAY, [second])

    def write_second_row():
        with another_session() as observer:
            wait_until(lambda: waiting_sessions(observer, "locktype = 'transactionid'") == 1)
        other.execute("SET lock_timeout = '0.5s'")  # shorter than deadlock_timeout
        other.execute(*inserts[1])
        other.commit()

    with another_session() as other, ThreadPoolExecutor() as threads:
        other.autocommit = False
        other.execute(*inserts[0])
        written = threads.submit(write_second_row)
        stored = store(*lines)

    written.result()
    assert stored.stored == (0 if table == "events" else 2)
    assert stored.rejected == {}


def start_import(path, *, chunk_lines, setup=""):
    """Start an import of `path`, with new hosts, in a process of its own."""
    script = f"""
import os, signal
import django
django.setup()
from django.core.management import call_command
from django.db import connection
from rewards.services.activity import rows
rows.CHUNK_LINES = {chunk_lines}
{setup}
call_command('import_activity', {str(path)!r}, create_hosts=True, format='json')
"""
    return start(["-c", script], DJANGO_SETTINGS_MODULE="rewards_site.settings")


def test_concurrent_imports_of_a_file_store_it_once(committed, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("\n".join([HEADER, *(login(n, f"u{n % 300}") for n in range(4_000))]))

    both = [start_import(path, chunk_lines=100) for _ in range(2)]
    ends = [finish(process) for process in both]

    assert [code for code, *_ in ends] == [0, 0], ends
    assert ActivityEvent.objects.count() == 4_000
    assert Host.objects.count() == DailyActivity.objects.count() == 300
    assert violations() == set()
    assert not list(tmp_path.glob("*.rejected*"))


DIE_IN_THE_SECOND_CHUNK = """
drops = []
def wrapper(execute, sql, params, many, context):
    if sql.startswith("DROP TABLE"):
        drops.append(sql)
        if len(drops) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
    return execute(sql, params, many, context)
connection.execute_wrappers.append(wrapper)
"""


def test_a_killed_import_is_completed_by_the_next(committed, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("\n".join([HEADER, *(login(n, f"u{n % 2}") for n in range(5))]))

    code, *_ = finish(start_import(path, chunk_lines=2, setup=DIE_IN_THE_SECOND_CHUNK))

    assert code == -signal.SIGKILL
    assert ActivityEvent.objects.count() == 2  # a chunk is stored completely or not at all
    assert violations() == set()

    call_command("import_activity", str(path), create_hosts=True, verbosity=0)

    assert (ActivityEvent.objects.count(), Host.objects.count()) == (5, 2)
    assert violations() == set()


def test_a_pipe_is_read_once_and_to_its_end(committed, tmp_path):
    command = f"{sys.executable} {ROOT}/manage.py import_activity --format json --create-hosts"

    ended = subprocess.run(
        ["/bin/bash", "-c", f"{command} <(printf '{HEADER}\\n{login(1)}\\nbad\\n{login(2)}')"],
        env=environment(), cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (ended.returncode, ActivityEvent.objects.count()) == (4, 2), ended.stderr
    (rejected,) = tmp_path.glob("*.rejected.csv")
    assert rejected.read_text().splitlines()[1].startswith("3,")


def test_one_of_two_first_imports_with_other_settings_is_refused(committed, tmp_path):
    """The one waits for the other to commit, and stores nothing."""
    path = tmp_path / "a.csv"
    path.write_text(
        "event_id,user_id,kind,occurred_at,duration_seconds\n"
        "e1,u1,audio_call,2026-11-16T11:00:00Z,10\n"
    )
    with another_session() as other:
        other.execute("BEGIN")
        other.execute("INSERT INTO rewards_activitysettings VALUES (1, 30)")
        process = start(["manage.py", "import_activity", str(path), "--create-hosts"])
        wait_until_blocked(process)
        other.execute("COMMIT")

    code, out, err = finish(process)

    assert (code, out) == (2, "")
    assert (
        "REWARDS_MIN_CALL_SECONDS=1 is not the value that the stored calls were counted with" in err
    )
    assert not ActivityEvent.objects.exists()
