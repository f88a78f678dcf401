"""Known bugs, to be planted one by one: do the tests notice?

    python -m tests.mutations [--list] [WORD]

Each bug, or each whose name holds WORD, is planted in a copy of the project. The tests named for
it run there, and one of them has to fail. Without a bug they all pass. Prints a table, and ends
with 1 when a bug was not found.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from localservers.postgresql.database import LocalDatabase
from localservers.temporary import temporary_servers

ROOT = Path(__file__).resolve().parent.parent
PARTS = ["manage.py", "pyproject.toml", "localservers", "rewards", "rewards_site", "tests"]
PARTS += ["templates"]
PROCESSES = 2
TIMEOUT_SECONDS = 1_800
SLOWER = 3
"""Tests that take so many times as long as all tests without a bug hang: that is found too."""

BATCHES = "rewards/services/awarding/batches.py"
DATABASE_RULES = "rewards/models/database_rules.py"
JOURNAL = "rewards/services/awarding/journal.py"
LEDGER = "rewards/services/awarding/ledger.py"
RUN = "rewards/services/awarding/run.py"

END_OF_DATABASE_RULES = """\
        *(f"ALTER TABLE {table} SET (fillfactor = {n});\\n" for table, n in _FILLFACTORS.items()),
"""
WRITE_BATCH = """\
                counts = award_id_range(job, run_id=run.pk, id_range=id_range)
                journal.finish_batch(batch, counts=counts)
"""

PITFALLS = "tests/test_known_pitfalls.py::"
RACE = f"{PITFALLS}test_a_race_pays_once_without_locks"
CRASH = f"{PITFALLS}test_a_crash_pays_once"
VERIFY = ["tests/reports/test_violations.py", "tests/reports/test_verify.py"]


class Change(NamedTuple):
    """A replacement; `old` is in the file exactly once."""

    path: str
    old: str
    new: str


class Bug(NamedTuple):
    """A change that someone could make in good faith, and the tests of its own part."""

    name: str
    changes: list[Change]
    tests: list[str]


BUGS = [
    Bug(
        "the unique constraint of awards is dropped",
        [
            Change(
                DATABASE_RULES,
                END_OF_DATABASE_RULES,
                END_OF_DATABASE_RULES + '        "ALTER TABLE rewards_scorehistory'
                ' DROP CONSTRAINT rewards_scorehistory_award_once;",\n',
            )
        ],
        [
            RACE,
            "tests/models/test_constraints.py"
            "::test_the_database_refuses_an_invalid_row[rewards_scorehistory_award_once]",
        ],
    ),
    Bug(
        "a conflict is ignored, and its points are added to the score",
        [
            Change(LEDGER, "COPY rewards_scorehistory", "COPY planted"),
            Change(
                LEDGER,
                "    with (\n        connection.wrap_database_errors,",
                "    with connection.cursor() as planting:\n"
                '        planting.execute("CREATE TEMPORARY TABLE planted'
                ' (LIKE rewards_scorehistory) ON COMMIT DROP")\n'
                '        planting.execute("ALTER TABLE planted ALTER id DROP NOT NULL,'
                ' ALTER created_at DROP NOT NULL")\n'
                "    with (\n        connection.wrap_database_errors,",
            ),
            Change(
                LEDGER,
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
        "scores are written after the transaction of the ledger",
        [
            Change(LEDGER, "    scores.add_awards(", "    _later("),
            Change(
                LEDGER,
                "def award_id_range(",
                "def _later(**values):\n"
                "    from django.db import transaction\n"
                "    transaction.on_commit(lambda: scores.add_awards(**values))\n\n\n"
                "def award_id_range(",
            ),
        ],
        [CRASH],
    ),
    Bug(
        "an award is for the day on which it is written",
        [
            Change(
                LEDGER,
                "    day = job.period.reference_date\n",
                "    day = __import__('datetime').date.today()\n",
            )
        ],
        [
            "tests/services/awarding/test_ledger.py",
            f"{PITFALLS}test_a_late_run_evaluates_its_own_day",
        ],
    ),
    Bug(
        "a weekly run sets the weekly score to 0",
        [
            Change(
                "rewards/services/scores.py",
                "weekly = CASE WHEN week_start < %(monday)s THEN 0 ELSE weekly END,",
                "weekly = 0,",
            ),
            Change(
                "rewards/services/scores.py",
                '_IS_OLDER = "(daily_date < %(day)s OR week_start < %(monday)s)"',
                '_IS_OLDER = "true"',
            ),
        ],
        ["tests/services/test_scores.py", f"{PITFALLS}test_a_second_weekly_run_keeps_the_week"],
    ),
    Bug(
        "an error of a batch is taken for success",
        [
            Change(
                BATCHES,
                WRITE_BATCH,
                "                from rewards.engine.values import AwardCounts\n"
                "                counts = AwardCounts()\n"
                "                try:\n"
                "                    with transaction.atomic():\n"
                "                        counts = award_id_range(\n"
                "                            job, run_id=run.pk, id_range=id_range)\n"
                "                except DatabaseError:\n"
                "                    pass\n"
                "                journal.finish_batch(batch, counts=counts)\n",
            )
        ],
        [
            "tests/services/awarding/test_batches.py",
            f"{PITFALLS}test_a_failed_batch_makes_the_run_partial",
            RACE,
        ],
    ),
    Bug(
        "a day begins at midnight in UTC",
        [
            Change(
                "rewards/engine/business_days.py",
                "    day = instant.astimezone(zone).date()\n",
                "    return instant.astimezone(UTC).date()\n",
            )
        ],
        [
            "tests/engine/test_business_days.py",
            f"{PITFALLS}test_a_call_after_midnight_in_kolkata_counts_on_its_day",
        ],
    ),
    Bug(
        "only yesterday is caught up",
        [
            Change(
                "rewards/selectors/periods.py",
                "        first=first,\n",
                "        first=business_date(now) - timedelta(days=1),\n",
            )
        ],
        ["tests/selectors/test_periods.py"],
    ),
    Bug(
        "the rule in force is that of the day on which the run starts",
        [
            Change(
                JOURNAL,
                "active_versions(period=period)",
                "active_versions(period=Period(period.cadence, timezone.now().date()))",
            )
        ],
        [
            "tests/services/awarding/test_run.py",
            f"{PITFALLS}test_a_late_run_evaluates_its_own_day",
        ],
    ),
    Bug(
        "a run counts as in progress for half an hour after its process died",
        [
            Change(
                JOURNAL,
                "    if interrupted is not None and _take_over(interrupted):\n",
                "    if interrupted is not None and (\n"
                "        timezone.now() - interrupted.started_at).total_seconds() < 1800:\n"
                "        from rewards.exceptions import AlreadyRunning\n"
                '        raise AlreadyRunning("already running")\n'
                "    if interrupted is not None and _take_over(interrupted):\n",
            )
        ],
        [
            "tests/services/awarding/test_run.py",
            f"{PITFALLS}test_a_lock_ends_with_its_process",
            CRASH,
        ],
    ),
    Bug(
        "the awards of a host are deleted with the host",
        [
            Change(
                "rewards/models/ledger.py",
                'on_delete=models.PROTECT, related_name="awards", db_index=False\n',
                'on_delete=models.CASCADE, related_name="awards", db_index=False\n',
            )
        ],
        ["tests/models/test_ledger.py"],
    ),
    Bug(
        "the rules are read for each host",
        [
            Change(
                LEDGER,
                "            for user in unpaid:\n",
                "            from rewards.models import RewardRule\n"
                "            for user in unpaid:\n"
                "                list(RewardRule.objects.all())\n",
            )
        ],
        ["tests/services/awarding/test_run.py"],
    ),
    Bug(
        "hosts are written in no order",
        [Change(LEDGER, "for user in sorted(due)}", "for user in sorted(due, reverse=True)}")],
        ["tests/services/awarding/test_ledger.py", "tests/services/awarding/test_batches.py"],
    ),
    Bug(
        "a batch is marked done before its awards are committed",
        [
            Change(
                BATCHES,
                "                id_range = IdRange(",
                "                from rewards.engine.values import AwardCounts\n"
                "                journal.finish_batch(batch, counts=AwardCounts())\n"
                "            with transaction.atomic():\n"
                "                id_range = IdRange(",
            )
        ],
        [CRASH],
    ),
    Bug(
        "an event is known by its id in any source",
        [
            Change(
                DATABASE_RULES,
                END_OF_DATABASE_RULES,
                END_OF_DATABASE_RULES + '        "ALTER TABLE rewards_activityevent'
                " DROP CONSTRAINT rewards_activityevent_once_per_source,"
                ' ADD CONSTRAINT rewards_activityevent_once_per_source UNIQUE (event_id);",\n',
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
        "an event is looked up before it is stored, instead of while it is",
        [
            Change(
                "rewards/services/activity/storing.py",
                '        ORDER BY event_id COLLATE "C", line\n'
                "        ON CONFLICT (source, event_id) DO NOTHING\n",
                "        WHERE NOT EXISTS (SELECT FROM rewards_activityevent AS known"
                " WHERE known.source = %(source)s::text"
                " AND known.event_id = incoming.event_id)\n"
                '        ORDER BY event_id COLLATE "C", line\n',
            )
        ],
        ["tests/services/test_ingest_races.py::test_of_eight_requests_with_an_id_one_stores_it"],
    ),
    Bug(
        "a request waits for a lock as long as a run does",
        [
            Change(
                "rewards/services/activity/storing.py",
                "        CROSS JOIN set_config('lock_timeout', %(lock_timeout)s, true)\n",
                "",
            )
        ],
        ["tests/services/test_ingest_races.py::test_a_lock_held_too_long_is_busy_after_two_tries"],
    ),
    Bug(
        "a call without a duration lasts no time",
        [
            Change(
                "rewards/services/activity/rows.py",
                "if cells[2] == ActivityKind.LOGIN and not cells[-1] else cells",
                "if not cells[-1] else cells",
            )
        ],
        ["tests/services/activity/test_rows.py"],
    ),
    Bug(
        "the app changes members of staff as if they were hosts",
        [
            Change(
                "rewards/services/hosts.py",
                "        if not user.is_host:\n"
                "            raise HostRefused(f\"User '{external_id}' is not a host.\")\n",
                "",
            )
        ],
        ["tests/services/test_hosts.py"],
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
            "tests/celery/test_workers.py"
            "::test_a_killed_worker_gives_its_message_back_without_a_tick"
        ],
    ),
    # Found by others to pass the tests of their own part, once.
    Bug(
        "a paid host hides unpaid ones with the same facts",
        [
            Change(
                LEDGER,
                "            if paid.issuperset(users):\n",
                "            if not paid.isdisjoint(users):\n",
            )
        ],
        ["tests/services/awarding/test_ledger.py"],
    ),
    Bug(
        "events are counted after the hosts of a run were found",
        [
            Change(
                JOURNAL,
                "            events_seen=counted_events(days=period.days),\n",
                "            events_seen=0,\n",
            ),
            Change(
                JOURNAL,
                "    return run, rules\n",
                "        run.events_seen = counted_events(days=period.days)\n"
                "        run.save()\n"
                "    return run, rules\n",
            ),
        ],
        ["tests/services/awarding/test_journal.py"],
    ),
    Bug(
        "a run opens without the lock on the rules",
        [Change(JOURNAL, "LOCK TABLE rewards_rewardrule IN SHARE MODE", "SELECT 1")],
        ["tests/services/awarding/test_journal.py"],
    ),
    Bug(
        "a run does not check the settings of the activity",
        [
            Change(
                RUN,
                "    require_unchanged_settings()\n\n    with period_lock(",
                "\n    with period_lock(",
            )
        ],
        ["tests/services/awarding/test_run.py"],
    ),
    Bug(
        "failures in a row are counted over all runs of a period",
        [
            Change(
                "rewards/selectors/runs.py",
                "count(*) FILTER (WHERE attempt > last_done AND hosts_failed > 0)",
                "count(*) FILTER (WHERE hosts_failed > 0)",
            )
        ],
        ["tests/selectors/test_runs.py"],
    ),
    Bug(
        "a week is overdue from the end of its Monday",
        [
            Change(
                "rewards/selectors/periods.py",
                "day_window(status.period.last_day, ",
                "day_window(status.period.reference_date, ",
            )
        ],
        ["tests/selectors/test_periods.py"],
    ),
    Bug(
        "a weekly version may begin in a week that is paid",
        [
            Change(
                "rewards/services/rules.py",
                "    days_before = 6 if cadence == Cadence.WEEKLY else 0\n",
                "    days_before = 0\n",
            )
        ],
        ["tests/services/test_rules.py"],
    ),
    Bug(
        "a version may be changed on its first day",
        [
            Change(
                "rewards/services/rules.py",
                "    if version.starts_on <= today:\n",
                "    if version.starts_on < today:\n",
            )
        ],
        ["tests/services/test_rules.py"],
    ),
    Bug(
        "a paused version with the same numbers is taken for the same version",
        [
            Change(
                "rewards/services/rules.py",
                "    return version.threshold, version.points, version.is_active\n",
                "    return version.threshold, version.points, True\n",
            )
        ],
        ["tests/services/test_rules.py"],
    ),
    Bug(
        "an award for the first day of a version does not refuse it",
        [
            Change(
                "rewards/services/rules.py",
                "rule_type=version.rule_type, reference_date__gte=_first_reference_date(version)",
                "rule_type=version.rule_type, reference_date__gt=_first_reference_date(version)",
            )
        ],
        ["tests/services/test_rules.py"],
    ),
    Bug(
        "a task swallows every error",
        [
            Change(
                "rewards/tasks.py",
                "    except AlreadyRunning as error:\n",
                "    except Exception as error:\n",
            )
        ],
        ["tests/test_tasks.py"],
    ),
    Bug(
        "a partial run ends its command with 0",
        [
            Change(
                "rewards/management/award.py",
                "report.status not in {None, RunStatus.DONE}",
                "report.status not in {None, RunStatus.DONE, RunStatus.PARTIAL}",
            )
        ],
        ["tests/commands/test_awards.py"],
    ),
    Bug(
        "deactivating overwrites an earlier last day",
        [
            Change(
                "rewards/services/hosts.py",
                "filter(pk__in=hosts, left_on__isnull=is_active)",
                "filter(pk__in=hosts)",
            )
        ],
        ["tests/services/test_hosts.py"],
    ),
    Bug(
        "the points of a closed run are not compared with the ledger",
        [
            Change(
                "rewards/reports/verify/runs.py",
                "AND (run.awards, run.points) <> (written.awards, written.points))",
                "AND run.awards <> written.awards)",
            )
        ],
        VERIFY,
    ),
    Bug(
        "a foreign key that is not validated is no violation",
        [
            Change(
                "rewards/reports/verify/guards.py",
                "AND (confdeltype NOT IN ('r', 'a') OR NOT convalidated)",
                "AND confdeltype NOT IN ('r', 'a')",
            )
        ],
        VERIFY,
    ),
    Bug(
        "a week is settled by the events of its Monday",
        [
            Change(
                "rewards/reports/verify/awards.py",
                "AS monday, events FROM days) AS days\n",
                "AS monday, events FROM days\n    WHERE extract(isodow FROM date) = 1) AS days\n",
            )
        ],
        VERIFY,
    ),
    Bug(
        "verification misses the awards of a host on its last day",
        [
            Change(
                "rewards/reports/verify/awards.py",
                "last_eligible_day < last_day",
                "last_eligible_day <= last_day",
            )
        ],
        VERIFY,
    ),
    Bug(
        "an award with another threshold than its version is no violation",
        [
            Change(
                "rewards/reports/verify/awards.py",
                "(rule.rule_type, rule.points, rule.threshold)",
                "(rule.rule_type, rule.points)",
            ),
            Change(
                "rewards/reports/verify/awards.py",
                "(award_groups.rule_type, abs(award_groups.points), award_groups.threshold)",
                "(award_groups.rule_type, abs(award_groups.points))",
            ),
        ],
        VERIFY,
    ),
    Bug(
        "a live run is taken for the award run of its day",
        [
            Change(
                "rewards/selectors/runs.py",
                "FROM rewards_awardrun WHERE kind = 'award'",
                "FROM rewards_awardrun",
            )
        ],
        ["tests/selectors/test_run_kinds.py"],
    ),
    Bug(
        "a live award is evaluated on the total alone",
        [
            Change(
                "rewards/services/awarding/live.py",
                "before = {award.rule for award in job.awards_for(crossing.before)}",
                "before = set()",
            )
        ],
        ["tests/services/awarding/test_live.py"],
    ),
    Bug(
        "a live award is written for any run of the day, whatever its status",
        [
            Change(
                "rewards/services/awarding/live.py",
                "if run is None or run.status != RunStatus.LIVE:",
                "if run is None:",
            )
        ],
        [
            "tests/faults/test_live_races.py::test_a_request_meets_a_job_that_is_open"
            "[run of the day-before_the_first-pg_advisory_unlock(]"
        ],
    ),
    Bug(
        "a request is answered before its events are on the disk",
        [
            Change(
                "rewards/services/activity/storing.py",
                "CROSS JOIN set_config('lock_timeout', %(lock_timeout)s, true)",
                "CROSS JOIN set_config('lock_timeout', %(lock_timeout)s, true)"
                " CROSS JOIN set_config('synchronous_commit', 'off', true)",
            )
        ],
        ["tests/faults/test_load.py"],
    ),
    Bug(
        "opening a live run waits for a lock as long as a run does",
        [
            Change(
                "rewards/services/awarding/live.py",
                "set_config('lock_timeout', %s, true)",
                "%s",
            )
        ],
        ["tests/services/awarding/test_live.py::test_no_request_waits_for_an_editor_of_rules"],
    ),
    Bug(
        "the totals of new activity are locked in any order of days",
        [
            Change(
                DATABASE_RULES,
                "FROM after_rows GROUP BY date ORDER BY date",
                "FROM after_rows GROUP BY date",
            )
        ],
        ["tests/services/test_ingest_races.py::test_totals_are_locked_in_order_of_day"],
    ),
    Bug(
        "the totals of changed activity are locked in any order of days",
        [
            Change(
                DATABASE_RULES,
                "GROUP BY date HAVING sum(events) <> 0 ORDER BY date",
                "GROUP BY date HAVING sum(events) <> 0",
            )
        ],
        ["tests/services/test_ingest_races.py::test_totals_are_locked_in_order_of_day"],
    ),
    Bug(
        "the end of a live run does not wait for its awards",
        [
            Change(
                "rewards/services/awarding/live.py",
                "AwardRun.objects.select_for_update().get(pk=run.pk)",
                "AwardRun.objects.get(pk=run.pk)",
            )
        ],
        ["tests/services/awarding/test_live.py"],
    ),
    Bug(
        "a run that has ended takes awards",
        [
            Change(
                DATABASE_RULES,
                "IF run.status NOT IN ('running', 'live') THEN",
                "IF run.status IS NULL THEN",
            )
        ],
        ["tests/models/test_ledger_entries.py"],
    ),
    Bug(
        "an undo may have other points than the award",
        [
            Change(
                DATABASE_RULES,
                "(written.rule_id, written.measured, written.threshold, -written.points)",
                "(written.rule_id, written.measured, written.threshold, former.points)",
            )
        ],
        ["tests/models/test_ledger_entries.py"],
    ),
    Bug(
        "an undo that does not match its award is no violation",
        [
            Change(
                "rewards/reports/verify/awards.py",
                "OR (points < 0 AND (rule_id, measured, points) IS DISTINCT FROM undone)",
                "",
            )
        ],
        VERIFY,
    ),
    Bug(
        "scores are repaired without the lock",
        [
            Change(
                "rewards/services/scores.py",
                "LOCK TABLE rewards_scorehistory, rewards_score IN SHARE ROW EXCLUSIVE MODE",
                "SELECT 1",
            )
        ],
        ["tests/services/test_scores.py"],
    ),
    Bug(
        "the first week of the ledger is never paid",
        [
            Change(
                "rewards/engine/business_days.py",
                "FIRST_MONDAY = date(1999, 12, 27)",
                "FIRST_MONDAY = date(2000, 1, 3)",
            )
        ],
        ["tests/engine/test_business_days.py"],
    ),
    Bug(
        "the API shows yesterday's points as today's",
        [
            Change(
                "rewards/reports/progress.py",
                "daily=score.daily if score and score.daily_date == today else 0,",
                "daily=score.daily if score else 0,",
            )
        ],
        ["tests/reports/test_progress.py"],
    ),
    Bug(
        "the API shows an award that was undone as awarded",
        [
            Change(
                "rewards/selectors/hosts.py",
                "GROUP BY rule_type, reference_date HAVING max(entry) %% 2 = 0",
                "GROUP BY rule_type, reference_date",
            )
        ],
        ["tests/selectors/test_hosts.py"],
    ),
    Bug(
        "the API names a member of staff a host",
        [
            Change(
                "rewards/selectors/hosts.py",
                "WHERE external_id = %(external_id)s AND is_host",
                "WHERE external_id = %(external_id)s",
            )
        ],
        ["tests/api/test_hosts.py"],
    ),
    Bug(
        "the API repeats the last row of a page on the next one",
        [
            Change(
                "rewards/selectors/ledger_pages.py",
                "(reference_date, rule_type, entry) < (%(date)s",
                "(reference_date, rule_type, entry) <= (%(date)s",
            )
        ],
        ["tests/api/test_awards.py"],
    ),
    Bug(
        "the API skips the rest of a host at the end of a page",
        [
            Change(
                "rewards/selectors/ledger_pages.py",
                "AND (user_id, rule_type, entry) > (%(user)s, %(rule_type)s, %(entry)s)",
                "AND user_id > %(user)s",
            )
        ],
        ["tests/api/test_runs.py"],
    ),
    Bug(
        "the API takes the cursor of another list",
        [
            Change(
                "rewards/api/paging.py",
                'salt=f"rewards.api.cursor:{of}"',
                'salt="rewards.api.cursor"',
            )
        ],
        ["tests/api/test_awards.py"],
    ),
    Bug(
        "the API takes a key by its prefix alone",
        [
            Change(
                "rewards/selectors/api_clients.py",
                "if hmac.compare_digest(key.digest, digest_of(secret)) and",
                "if",
            )
        ],
        ["tests/api/test_authentication.py"],
    ),
    Bug(
        "the API takes a revoked key",
        [
            Change(
                "rewards/models/api.py",
                "if self.revoked_at is not None:",
                "if self.revoked_at is not None and self.expires_on is not None:",
            )
        ],
        ["tests/api/test_isolation.py"],
    ),
    Bug(
        "a key expires a day early",
        [
            Change(
                "rewards/models/api.py",
                "self.expires_on < day",
                "self.expires_on <= day",
            )
        ],
        ["tests/api/test_authentication.py"],
    ),
    Bug(
        "the API takes a key of any scope",
        [
            Change(
                "rewards/api/authentication.py",
                "if self.scope not in client.scopes:",
                "if not client.scopes:",
            )
        ],
        ["tests/api/test_isolation.py"],
    ),
    Bug(
        "two calls at once create a third valid key",
        [
            Change(
                "rewards/services/api_clients.py",
                "        ApiClient.objects.select_for_update().get(pk=client.pk)\n",
                "",
            )
        ],
        ["tests/services/test_api_clients.py"],
    ),
    Bug(
        "the API refuses everyone while the broker is away",
        [
            Change(
                "rewards/api/rate_limit.py",
                "        _resume_at = time.monotonic() + PAUSE_SECONDS\n",
                "        raise\n",
            )
        ],
        ["tests/api/test_rate_limit.py"],
    ),
    Bug(
        "the API reads a body of any size",
        [
            Change(
                "rewards/api/json_body.py",
                "if declared <= MAX_BODY_BYTES:",
                "if declared >= 0:",
            )
        ],
        ["tests/api/test_json_body.py"],
    ),
]


class Result(NamedTuple):
    """What the tests say of one copy."""

    failed: list[str]
    seconds: float
    output: str


@contextmanager
def databases(number: int) -> Iterator[SimpleQueue[str]]:
    """Yield a queue of the addresses of `number` servers, which end with the block."""
    with temporary_servers(prefix="rewards-mutations-") as folder:
        queue: SimpleQueue[str] = SimpleQueue()
        for slot in range(number):
            queue.put(LocalDatabase(folder / str(slot), name="rewards", durable=False).url())
        yield queue


def run_tests(bug: Bug, *, address: str, timeout: float) -> Result:
    """Run the tests of `bug` on a copy of the project that has it, up to the first failure."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rewards-mutation-") as folder:
        home = Path(folder)
        for part in PARTS:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, home / part)
        for change in bug.changes:
            plant(home / change.path, change)
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-n0", "-m", "", "--create-db"]
        try:
            result = subprocess.run(
                [*command, "-p", "no:cacheprovider", "-p", "no:randomly", *bug.tests],
                cwd=home,
                env={**os.environ, "DATABASE_URL": address, "DEBUG": "true"},
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            return Result(["a test that hangs"], timeout, "")
    failed = re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", result.stdout, re.MULTILINE)
    if result.returncode not in {0, 1} or bool(failed) != bool(result.returncode):
        raise RuntimeError(f"The tests could not run:\n{result.stdout}{result.stderr}")
    return Result(failed, time.monotonic() - started, result.stdout)


def plant(path: Path, change: Change) -> None:
    """Make one replacement. Raises RuntimeError unless there is exactly one place for it."""
    text = path.read_text()
    if text.count(change.old) != 1:
        raise RuntimeError(f"{change.path} holds this {text.count(change.old)} times: {change.old}")
    path.write_text(text.replace(change.old, change.new))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("word", nargs="*", metavar="WORD")
    parser.add_argument("--list", action="store_true", help="print the bugs, and plant none")
    options = parser.parse_args()
    bugs = [bug for bug in BUGS if " ".join(options.word) in bug.name]
    if options.list:
        sys.stdout.writelines(f"{bug.name}: {', '.join(bug.tests)}\n" for bug in bugs)
        return 0

    with databases(PROCESSES) as addresses, ThreadPoolExecutor(PROCESSES) as pool:

        def examine(bug: Bug, timeout: float) -> Result:
            address = addresses.get()
            try:
                return run_tests(bug, address=address, timeout=timeout)
            finally:
                addresses.put(address)

        tests = sorted({test for bug in bugs for test in bug.tests})
        without = examine(Bug("no bug", [], tests), TIMEOUT_SECONDS)
        timeouts = [60 + SLOWER * without.seconds] * len(bugs)
        if without.failed:
            sys.stdout.write(f"{without.output}\nThe tests fail without any bug.\n")
            return 1
        sys.stdout.write("| planted bug | found by | seconds |\n|---|---|---|\n")
        missed = 0
        for bug, result in zip(bugs, pool.map(examine, bugs, timeouts), strict=True):
            found_by = f"`{result.failed[0].split('::')[-1]}`" if result.failed else "**nothing**"
            missed += not result.failed
            sys.stdout.write(f"| {bug.name} | {found_by} | {result.seconds:.0f} |\n")
            sys.stdout.flush()
    sys.stdout.write(f"\n{len(bugs) - missed} of {len(bugs)} found.\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
