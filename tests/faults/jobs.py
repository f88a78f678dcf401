"""The jobs that faults are injected into, and the small week they work on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from rewards.services.activity.rows import CHUNK_LINES
from tests.faults.databases import Database, State, day
from tests.faults.pg_proxy import Message

HOSTS = 7


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """A command, and what has to be done on a copy of the week before it runs."""

    name: str
    argv: Callable[[Path], list[str]]
    """Takes a folder for its files."""
    before: Callable[[Database], None] = lambda database: None
    settings: dict[str, Any] = field(default_factory=dict)
    repairs: frozenset[str] = frozenset()
    """The invariants that do not hold before the job."""

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Golden:
    """The messages and the result of a job without a fault."""

    before: Database
    argv: list[str]
    messages: list[Message]
    state: State

    def commits(self) -> list[int]:
        """Return the numbers of the messages that commit."""
        return [message.number for message in self.messages if message.text == "COMMIT"]


def writes_awards(message: Message) -> bool:
    """Return whether a batch has been evaluated and is about to be written."""
    return "COPY rewards_scorehistory" in message.text


def set_rules(database: Database) -> None:
    for rule_type, threshold, points in (
        ("DAILY_LOGIN", 1, 10),
        ("DAILY_AUDIO_CALL_TARGET", 2, 25),
        ("DAILY_VIDEO_CALL_TARGET", 1, 40),
        ("WEEKLY_CONSISTENCY", 3, 100),
    ):
        database.prepare(
            "set_rule", rule_type, "--threshold", str(threshold), "--points", str(points),
            "--starts-on", "2024-01-01",
        )  # fmt: skip


def write_week(folder: Path) -> Path:
    """Write activity of seven hosts: the n-th is active on every n-th day."""
    rows = []
    for host in range(HOSTS):
        for offset in range(0, 7, host + 1):
            for hour, kind, seconds in (
                (9, "login", 0),
                (10, "audio_call", 60),
                (11, "audio_call", 60 * host),
                *([(12, "video_call", 90)] if host % 3 == 0 else []),
            ):
                rows.append(_row(host, offset, hour, kind, seconds))
    return _write(folder / "week.csv", rows)


def write_two_chunks(folder: Path) -> Path:
    """Write more activity in two chunks of lines, with a stored row and a new host."""
    first = [_row(host, 1, 14, "login", 0) for host in range(HOSTS)]
    second = [_row(host, 2, 15, "audio_call", 30) for host in range(2, HOSTS + 2)]
    blank = [""] * (CHUNK_LINES - len(first))
    return _write(folder / "more.csv", [*first, *blank, *second, _row(0, 0, 9, "login", 0)])


def write_hosts(folder: Path) -> Path:
    """Write hosts that are known and new ones, in two chunks of lines."""
    path = folder / "hosts.csv"
    known = [f"host-{n},Ada,King,2099-01-0{n + 1}" for n in range(HOSTS)]
    blank = [""] * (CHUNK_LINES - len(known))
    new = [f"new-{n},Bea,," for n in range(HOSTS)]
    header = "user_id,first_name,last_name,left_on"
    path.write_text("\n".join([header, *known, *blank, *new, "host-0,Ada,Byron,"]))
    return path


def write_logins(folder: Path, logins: list[tuple[str, datetime]]) -> Path:
    """Write one login for each (host, time)."""
    return _write(
        folder / "logins.csv",
        [
            f"{number},{host},login,{at.isoformat()},0"
            for number, (host, at) in enumerate(logins, start=1)
        ],
    )


def _row(host: int, offset: int, hour: int, kind: str, seconds: int) -> str:
    event = f"{host}-{offset}-{hour}"
    return f"{event},host-{host},{kind},{day(offset)}T{hour:02}:00:00Z,{seconds}"


def _write(path: Path, rows: list[str]) -> Path:
    header = "event_id,user_id,kind,occurred_at,duration_seconds"
    path.write_text("\n".join([header, *rows, ""]))
    return path


def _award_all_days(database: Database) -> None:
    database.prepare("award_daily", "--from", day(0), "--to", day(6))


TWO_HOSTS_A_BATCH = {"REWARDS_BATCH_SIZE": 2}

AWARD_DAILY = Job(
    name="award_daily",
    argv=lambda folder: ["award_daily", "--date", day(6)],
    before=lambda database: database.prepare("award_daily", "--from", day(0), "--to", day(5)),
    settings=TWO_HOSTS_A_BATCH,
)
AWARD_WEEKLY = Job(
    name="award_weekly",
    argv=lambda folder: ["award_weekly", "--week", day(0)],
    before=_award_all_days,
    settings=TWO_HOSTS_A_BATCH,
)
ROLL_OVER = Job(  # a day without activity, in a new week
    name="roll-over",
    argv=lambda folder: ["award_daily", "--date", day(7)],
    before=_award_all_days,
)
IMPORT_ACTIVITY = Job(
    name="import_activity",
    argv=lambda folder: ["import_activity", str(write_two_chunks(folder)), "--create-hosts"],
)
IMPORT_HOSTS = Job(
    name="import_hosts",
    argv=lambda folder: ["import_hosts", str(write_hosts(folder))],
)
AWARD_DUE = Job(  # the last two days and the week
    name="award_due",
    argv=lambda folder: ["award_due"],
    before=lambda database: database.prepare("award_daily", "--from", day(0), "--to", day(4)),
    settings=TWO_HOSTS_A_BATCH,
)


def _interrupt_a_run(database: Database) -> None:
    AWARD_DAILY.before(database)
    with database.proxy(where=writes_awards) as proxy:
        database.manage(*AWARD_DAILY.argv(Path()), via=proxy, **AWARD_DAILY.settings)
    assert database.query("SELECT id FROM rewards_awardrun WHERE status = 'running'") == [(7,)]


AWARD_BATCHES = Job(  # what a second process does for a run
    name="award_batches",
    argv=lambda folder: ["award_batches", "7"],
    before=_interrupt_a_run,
)


def _damage_scores(database: Database) -> None:
    _award_all_days(database)
    database.execute("UPDATE rewards_score SET lifetime = lifetime + 1, daily = 7")


REPAIR_SCORES = Job(
    name="repair of scores",
    argv=lambda folder: ["verify_ledger", "--repair-scores"],
    before=_damage_scores,
    repairs=frozenset({"I3", "I4", "I19"}),
)

SET_RULE = Job(
    name="set_rule",
    argv=lambda folder: [
        *("set_rule", "DAILY_LOGIN", "--threshold", "2", "--points", "30"),
        *("--starts-on", day(7)),
    ],
    before=_award_all_days,
)

JOBS = [
    AWARD_DAILY,
    AWARD_WEEKLY,
    AWARD_DUE,
    AWARD_BATCHES,
    ROLL_OVER,
    IMPORT_ACTIVITY,
    IMPORT_HOSTS,
    SET_RULE,
    REPAIR_SCORES,
]

SMOKE = pytest.param(AWARD_DAILY, marks=pytest.mark.smoke)
"""The job of the tests that a plain pytest runs."""
