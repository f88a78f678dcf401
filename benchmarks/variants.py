"""Variants of awarding one day: each runs on its own database and returns its timing."""

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
from rewards.engine.business_days import monday_of

SQL = Path(__file__).parent / "sql"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The cost of one variant."""

    seconds: float
    """Wall-clock time of the call, without starting Python and Django."""
    cpu: float | None = None
    """CPU seconds of our process; it waits for the server during the rest."""
    memory: int | None = None
    """Peak resident bytes of our process; None if only the server works."""
    report: dict[str, Any] = field(default_factory=dict)


def run_worker(
    server: Server, name: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> Timing:
    """Run a job of benchmarks.worker on the database `name`."""
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
    job: str = "command",
) -> Timing:
    """Award with award_daily."""
    return run_worker(server, name, job, "award_daily", f"--date={day}", f"--workers={workers}")


def handwritten_sql(server: Server, name: str, *, day: date = dataset.DAY) -> Timing:
    """Award with one INSERT ... SELECT ... ON CONFLICT that feeds one score update."""
    return _time_on_server(
        server, name, day, lambda cursor, run: _execute(cursor, "award", day, run)
    )


def copy_finished_rows(server: Server, name: str, *, rows: Path, day: date = dataset.DAY) -> Timing:
    """COPY the finished ledger rows from a file and update the scores with one statement.

    This is the least work in one session that leaves the same rows in the same tables.
    """

    def write(cursor: psycopg.Cursor, run: int) -> None:
        cursor.execute(f"{COPY} FROM '{rows}'".encode())
        _execute(cursor, "scores", day, run)

    return _time_on_server(server, name, day, write)


COPY = (
    "COPY rewards_scorehistory"
    " (user_id, rule_type, reference_date, points, rule_id, measured, threshold, run_id)"
)


def write_finished_rows(server: Server, name: str, rows: Path, *, day: date = dataset.DAY) -> None:
    """Write the ledger of `day`, ordered by host, to a file that the server can read."""
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


def _time_on_server(
    server: Server, name: str, day: date, write: Callable[[psycopg.Cursor, int], None]
) -> Timing:
    """Time `write` and the writing of its run in one transaction."""
    with server.connect(name) as connection, connection.cursor() as cursor:
        started = time.perf_counter()
        with connection.transaction():
            cursor.execute(
                """
                INSERT INTO rewards_awardrun
                    (cadence, reference_date, attempt, trigger, status, started_at)
                VALUES ('daily', %s, 1, 'command', 'running', now())
                RETURNING id
                """,
                [day],
            )
            (run,) = cursor.fetchone()  # type: ignore[misc]  # RETURNING returns
            write(cursor, run)
            cursor.execute(
                """
                UPDATE rewards_awardrun
                SET status = 'done', finished_at = now(), (awards, points) = (
                    SELECT count(*), coalesce(sum(points), 0) FROM rewards_scorehistory
                    WHERE reference_date = %s AND run_id = rewards_awardrun.id
                ) WHERE id = %s
                """,
                [day, run],
            )
        return Timing(seconds=time.perf_counter() - started)


def build_active_days(server: Server, name: str, *, hosts: int, days: int = 1) -> None:
    """Create a database in which all hosts were active for `days` days and the day before.

    The day before is awarded, so that the ledger and the scores are not empty.
    """
    dates = [dataset.YESTERDAY + timedelta(days=number) for number in range(days + 1)]
    dataset.build(server, name, hosts=hosts, days=dict.fromkeys(dates, 1.0))
    handwritten_sql(server, name, day=dataset.YESTERDAY)
    dataset.vacuum(server, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The state of a database after a run. Equal outcomes mean equal ledgers."""

    awards: int
    ledger: str
    """Order-independent hash of the day's rows, without run and timestamps."""
    wrong_scores: int
    """Hosts with a lifetime, daily or weekly score that differs from the sum of the ledger."""


def outcome(
    server: Server, name: str, *, day: date = dataset.DAY, hosts: int | None = None
) -> Outcome:
    """Return the outcome of all hosts, or of the first `hosts` hosts."""
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
