"""The ways to award a day, each on a database of its own; each returns what it took."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg

from benchmarks import dataset
from benchmarks.server import Server
from rewards.calendar import monday_of

SQL = Path(__file__).parent / "sql"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What one contestant took."""

    seconds: float
    """From the call to its return; starting Python and Django is not in it."""
    cpu: float | None = None
    """Seconds that our process computed; the rest of them it waited for the server."""
    memory: int | None = None
    """Peak resident bytes of our process; None for what runs in the server alone."""
    report: dict[str, Any] = field(default_factory=dict)


def run_worker(
    server: Server, name: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> Timing:
    """Run benchmarks.worker on the database `name`."""
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.worker", *arguments],
        env=server.environment(name) | dict(environment or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed:\n{result.stderr}")
    return Timing(**json.loads(result.stdout))


def ours(
    server: Server,
    name: str,
    *,
    day: date = dataset.DAY,
    workers: int = 1,
    what: str = "command",
) -> Timing:
    """award_daily, as it is."""
    return run_worker(server, name, what, "award_daily", f"--date={day}", f"--workers={workers}")


def handwritten(server: Server, name: str, *, day: date = dataset.DAY) -> Timing:
    """One transaction of INSERT ... SELECT ... ON CONFLICT feeding one score update."""
    return _in_server(server, name, day, lambda cursor, run: _execute(cursor, "award", day, run))


def floor(server: Server, name: str, *, rows: Path, day: date = dataset.DAY) -> Timing:
    """COPY of the finished rows from a file of the server, and the set-based score update."""

    def write(cursor: psycopg.Cursor, run: int) -> None:
        cursor.execute(f"{COPY} FROM '{rows}'".encode())
        _execute(cursor, "scores", day, run)

    return _in_server(server, name, day, write)


COPY = (
    "COPY rewards_scorehistory"
    " (user_id, rule_type, reference_date, points, rule_id, measured, threshold, run_id)"
)


def finished_rows(server: Server, name: str, rows: Path, *, day: date = dataset.DAY) -> None:
    """Write the ledger of `day`, in order of host, to a file that the server can read."""
    select = COPY.replace("COPY rewards_scorehistory (", "SELECT ").rstrip(")")
    with (
        server.connect(name) as connection,
        rows.open("wb") as file,
        connection.cursor().copy(
            f"COPY ({select} FROM rewards_scorehistory WHERE reference_date = '{day}'"
            " ORDER BY user_id, rule_type) TO STDOUT".encode()
        ) as copy,
    ):
        for block in copy:
            file.write(block)
    rows.chmod(0o644)


def _execute(cursor: psycopg.Cursor, file: str, day: date, run: int) -> None:
    text = (SQL / f"{file}.sql").read_bytes()
    cursor.execute(text, {"day": day, "monday": monday_of(day), "run": run})


def _in_server(
    server: Server, name: str, day: date, write: Callable[[psycopg.Cursor, int], None]
) -> Timing:
    """Time `write` in one transaction with the row of the run it belongs to."""
    with server.connect(name) as connection, connection.cursor() as cursor:
        began = time.perf_counter()
        with connection.transaction():
            cursor.execute(
                """
                INSERT INTO rewards_awardrun
                    (cadence, reference_date, attempt, trigger, status, started_at, finished_at)
                VALUES ('daily', %s, 1, 'command', 'done', now(), now())
                RETURNING id
                """,
                [day],
            )
            (run,) = cursor.fetchone()  # type: ignore[misc]  # RETURNING returns
            write(cursor, run)
            cursor.execute(
                """
                UPDATE rewards_awardrun SET (awards, points) = (
                    SELECT count(*), coalesce(sum(points), 0) FROM rewards_scorehistory
                    WHERE reference_date = %s AND run_id = rewards_awardrun.id
                ) WHERE id = %s
                """,
                [day, run],
            )
        return Timing(seconds=time.perf_counter() - began)


def ordinary_day(server: Server, name: str, *, hosts: int, days: int = 1) -> None:
    """Make a database in which all hosts were active for `days` days, and on the one before.

    That one is awarded, so that the ledger and the scores are as any run but the first finds them.
    """
    dates = [dataset.YESTERDAY + timedelta(days=number) for number in range(days + 1)]
    dataset.build(server, name, hosts=hosts, days=dict.fromkeys(dates, 1.0))
    handwritten(server, name, day=dataset.YESTERDAY)
    dataset.settle(server, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What is in the database afterwards; equal outcomes are equal ledgers and true scores."""

    awards: int
    ledger: str
    """Hash of the day's rows, whatever their order; the run and the clock are not in it."""
    wrong_scores: int
    """Hosts whose lifetime, daily or weekly is not the sum of the ledger."""


def outcome(
    server: Server, name: str, *, day: date = dataset.DAY, hosts: int | None = None
) -> Outcome:
    """Look at the database `name`, or at its first `hosts` hosts."""
    with server.connect(name) as connection:
        awards, digest = connection.execute(
            """
            SELECT count(*), md5(coalesce(sum(hashtextextended(concat_ws(',', user_id, rule_type,
                reference_date, points, rule_id, measured, threshold), 0)), 0)::text)
            FROM rewards_scorehistory
            WHERE reference_date = %(day)s AND user_id <= coalesce(%(hosts)s, user_id)
            """,
            {"day": day, "hosts": hosts},
        ).fetchone()  # type: ignore[misc]  # an aggregate has a row
        (wrong,) = connection.execute(
            """
            SELECT count(*) FROM rewards_score AS score FULL JOIN (
                SELECT user_id, sum(points) AS lifetime,
                    coalesce(sum(points) FILTER (WHERE reference_date = %(day)s), 0) AS daily,
                    coalesce(sum(points) FILTER (
                        WHERE reference_date BETWEEN %(monday)s AND %(day)s), 0) AS weekly
                FROM rewards_scorehistory GROUP BY user_id
            ) AS ledger USING (user_id)
            WHERE user_id <= coalesce(%(hosts)s, user_id)
            AND (score.lifetime, score.daily, score.weekly, daily_date, week_start)
                IS DISTINCT FROM (ledger.lifetime, ledger.daily, ledger.weekly,
                    %(day)s::date, %(monday)s::date)
            """,
            {"day": day, "monday": monday_of(day), "hosts": hosts},
        ).fetchone()  # type: ignore[misc]  # an aggregate has a row
    return Outcome(awards=awards, ledger=digest, wrong_scores=wrong)
