"""Is the suite to be trusted? Plant each known bug in a copy of the project and see who finds it.

    python -m tests.mutations [WORD]

For each bug, or those with WORD in their name, the tests named for it run on a copy with the bug
in it, and one of them has to fail. The same tests pass on a copy without any. Prints a table, and
ends with 1 when a bug got away.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PARTS = ["manage.py", "pyproject.toml", "rewards", "rewards_site", "templates", "tests"]
AT_ONCE = 2

BATCHS = "rewards/services/awarding/batches.py"
WRITE_BATCH = """\
            runs.finish_batch(batch, tally=award_range(job, run=run.pk, span=span))
"""
BATCH = "rewards/services/awarding/batch.py"
RUNS = "rewards/services/runs.py"
APPEND_ONLY = "rewards/migrations/0002_append_only_ledger.py"
FOR_EACH_STATEMENT = "    FOR EACH STATEMENT EXECUTE FUNCTION rewards_refuse_ledger_change();\n"

RACE = "tests/test_known_pitfalls.py::test_a_race_pays_once_with_every_lock_taken_out"
CRASH = "tests/test_known_pitfalls.py::test_a_crash_pays_once"


class Change(NamedTuple):
    """One replacement; `old` stands in the file exactly once."""

    path: str
    old: str
    new: str


class Bug(NamedTuple):
    """What somebody might do, in good faith, and the tests that have to notice."""

    name: str
    changes: list[Change]
    tests: list[str]


BUGS = [
    Bug(
        "the unique constraint is dropped",
        [
            Change(
                APPEND_ONLY,
                FOR_EACH_STATEMENT,
                FOR_EACH_STATEMENT + "ALTER TABLE rewards_scorehistory"
                " DROP CONSTRAINT rewards_scorehistory_award_once;\n",
            )
        ],
        [
            RACE,
            "tests/models/test_constraints.py"
            "::test_the_database_refuses_behind_validation[rewards_scorehistory_award_once]",
        ],
    ),
    Bug(
        "conflicts are ignored and the score is raised all the same",
        [
            Change(BATCH, "COPY rewards_scorehistory", "COPY planted"),
            Change(
                BATCH,
                "    with (\n        connection.wrap_database_errors,",
                "    with connection.cursor() as planting:\n"
                '        planting.execute("CREATE TEMPORARY TABLE planted'
                ' (LIKE rewards_scorehistory) ON COMMIT DROP")\n'
                '        planting.execute("ALTER TABLE planted ALTER id DROP NOT NULL,'
                ' ALTER created_at DROP NOT NULL")\n'
                "    with (\n        connection.wrap_database_errors,",
            ),
            Change(
                BATCH,
                '        copy.write("".join(rows))\n',
                '        copy.write("".join(rows))\n'
                "    with connection.cursor() as planting:\n"
                '        names = "user_id, rule_type, reference_date, points, rule_id,'
                ' measured, threshold, run_id"\n'
                '        planting.execute(f"INSERT INTO rewards_scorehistory ({names})'
                ' SELECT {names} FROM planted ON CONFLICT DO NOTHING")\n',
            ),
        ],
        [RACE],
    ),
    Bug(
        "scores are updated after the transaction",
        [
            Change(BATCH, "        scores.add_awards(\n", "        _later(\n"),
            Change(
                BATCH,
                "def evaluate_range(",
                "def _later(**values):\n"
                "    from django.db import transaction\n"
                "    transaction.on_commit(lambda: scores.add_awards(**values))\n\n\n"
                "def evaluate_range(",
            ),
        ],
        [CRASH],
    ),
    Bug(
        "an award is of the day it is written on",
        [
            Change(
                BATCH,
                "cells = (rule.rule_type.value, job.reference_date, ",
                "cells = (rule.rule_type.value, __import__('datetime').date.today(), ",
            )
        ],
        ["tests/test_known_pitfalls.py::test_a_run_that_comes_late_evaluates_the_day_it_is_given"],
    ),
    Bug(
        "a weekly run begins by wiping the week",
        [
            Change(
                "rewards/services/scores.py",
                "weekly = CASE WHEN week_start < %(monday)s THEN 0 ELSE weekly END,",
                "weekly = 0,",
            ),
            Change(
                "rewards/services/scores.py",
                "WHERE daily_date < %(day)s OR week_start < %(monday)s\n",
                "WHERE true\n",
            ),
        ],
        ["tests/test_known_pitfalls.py::test_a_second_weekly_run_keeps_the_week"],
    ),
    Bug(
        "errors of a batch are swallowed as success",
        [
            Change(
                BATCHS,
                WRITE_BATCH,
                "            tally = runs.Tally()\n"
                "            try:\n"
                "                with transaction.atomic():\n"
                "                    tally = award_range(job, run=run.pk, span=span)\n"
                "            except DatabaseError:\n"
                "                pass\n"
                "            runs.finish_batch(batch, tally=tally)\n",
            )
        ],
        ["tests/test_known_pitfalls.py::test_an_error_of_one_host_is_no_success_of_the_run", RACE],
    ),
    Bug(
        "a day begins at midnight in UTC",
        [
            Change(
                "rewards/calendar.py",
                "    day = instant.astimezone(zone).date()\n",
                "    return instant.astimezone(UTC).date()\n",
            )
        ],
        ["tests/test_known_pitfalls.py::test_a_call_after_midnight_in_kolkata_counts_on_its_day"],
    ),
    Bug(
        "catching up goes back to yesterday only",
        [
            Change(
                "rewards/services/due.py",
                "        first=first,\n",
                "        first=_today(now) - timedelta(days=1),\n",
            )
        ],
        ["tests/services/test_due.py"],
    ),
    Bug(
        "the rule is the one in force when the job runs",
        [
            Change(
                RUNS,
                "rules_in_force(cadence=cadence, day=days[-1])",
                "rules_in_force(cadence=cadence, day=timezone.now().date())",
            )
        ],
        [
            "tests/services/test_awarding.py",
            "tests/test_known_pitfalls.py::test_a_run_that_comes_late_evaluates_the_day_it_is_given",
        ],
    ),
    Bug(
        "a run counts as alive for half an hour, whoever has died",
        [
            Change(
                RUNS,
                "    if left_open is not None and _taken_over(left_open):\n",
                "    age = left_open and (timezone.now() - left_open.started_at).total_seconds()\n"
                "    if age is not None and age < 1800:\n"
                '        raise AlreadyRunning("running already")\n'
                "    if left_open is not None and _taken_over(left_open):\n",
            )
        ],
        ["tests/test_known_pitfalls.py::test_a_lock_dies_with_its_process", CRASH],
    ),
    Bug(
        "the awards of a host go with the host",
        [
            Change(
                "rewards/models/ledger.py",
                'on_delete=models.PROTECT, related_name="awards", db_index=False\n',
                'on_delete=models.CASCADE, related_name="awards", db_index=False\n',
            )
        ],
        ["tests/models/test_ledger.py::test_nothing_that_an_award_names_can_be_deleted"],
    ),
    Bug(
        "the rules are read once for each host",
        [
            Change(
                BATCH,
                "            for host in unpaid:\n",
                "            from rewards.models import RewardRule\n"
                "            for host in unpaid:\n"
                "                list(RewardRule.objects.all())\n",
            )
        ],
        ["tests/services/test_awarding.py"],
    ),
    Bug(
        "hosts are written in no order",
        [
            Change(
                BATCH,
                "for host in sorted(due)}",
                "for host in sorted(due, reverse=True)}",
            )
        ],
        ["tests/services/test_awarding.py"],
    ),
    Bug(
        "a batch is marked as done before it is committed",
        [
            Change(
                BATCHS,
                WRITE_BATCH,
                "            runs.finish_batch(batch, tally=runs.Tally())\n"
                "        with transaction.atomic():\n" + WRITE_BATCH,
            )
        ],
        [CRASH],
    ),
    Bug(
        "an event is known by its id, whatever its source",
        [
            Change(
                APPEND_ONLY,
                FOR_EACH_STATEMENT,
                FOR_EACH_STATEMENT + "ALTER TABLE rewards_activityevent"
                " DROP CONSTRAINT rewards_activityevent_once_per_source,"
                " ADD CONSTRAINT rewards_activityevent_once_per_source UNIQUE (event_id);\n",
            ),
            Change(
                "rewards/services/activity/storing.py",
                "ON CONFLICT (source, event_id) DO NOTHING",
                "ON CONFLICT (event_id) DO NOTHING",
            ),
        ],
        ["tests/services/activity/test_import.py::test_ids_belong_to_their_source"],
    ),
    Bug(
        "a task is acknowledged before it is done",
        [
            Change(
                "rewards_site/settings.py",
                "CELERY_TASK_ACKS_LATE = True",
                "CELERY_TASK_ACKS_LATE = False",
            )
        ],
        [
            "tests/celery/test_disturbed.py"
            "::test_the_message_of_a_killed_worker_comes_back_without_a_tick"
        ],
    ),
]


class Verdict(NamedTuple):
    """What the tests said of one copy."""

    failed: list[str]
    seconds: float
    output: str


def examine(changes: list[Change], tests: list[str], *, processes: int) -> Verdict:
    """Run `tests` on a copy of the project with `changes` in it, up to the first failure."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rewards-planted-") as folder:
        home = Path(folder)
        home.chmod(0o755)  # the database's user may have to come through
        for part in PARTS:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, home / part)
        for change in changes:
            plant(home / change.path, change)
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
        result = subprocess.run(
            [*command, "-m", "", f"-n{processes}", *tests],
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
    failed = re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", result.stdout, re.MULTILINE)
    if result.returncode not in {0, 1} or bool(failed) != bool(result.returncode):
        raise RuntimeError(f"the tests could not run:\n{result.stdout}{result.stderr}")
    return Verdict(failed, time.monotonic() - began, result.stdout)


def plant(path: Path, change: Change) -> None:
    """Make one replacement; a bug that is not planted proves nothing."""
    text = path.read_text()
    if text.count(change.old) != 1:
        raise RuntimeError(f"{change.path} holds this {text.count(change.old)} times: {change.old}")
    path.write_text(text.replace(change.old, change.new))


def main() -> int:
    word = " ".join(sys.argv[1:])
    bugs = [bug for bug in BUGS if word in bug.name]
    control = sorted({test for bug in bugs for test in bug.tests})
    sound = examine([], control, processes=AT_ONCE)
    if sound.failed:
        sys.stdout.write(f"{sound.output}\nThe tests fail without any bug; nothing is proved.\n")
        return 1

    sys.stdout.write("| planted bug | found by | seconds |\n|---|---|---|\n")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        verdicts = pool.map(lambda bug: examine(bug.changes, bug.tests, processes=0), bugs)
        missed = 0
        for bug, verdict in zip(bugs, verdicts, strict=True):
            found = (
                "`" + verdict.failed[0].split("::")[-1] + "`" if verdict.failed else "**nobody**"
            )
            missed += not verdict.failed
            sys.stdout.write(f"| {bug.name} | {found} | {verdict.seconds:.0f} |\n")
            sys.stdout.flush()
    sys.stdout.write(f"\n{len(bugs) - missed} of {len(bugs)} found.\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
