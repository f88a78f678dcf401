"""Runs one measurement in a process of its own.

`python -m benchmarks.worker JOB [ARGUMENTS]` prints one JSON object: wall-clock seconds, CPU
seconds of this process, peak memory in bytes, and the job's report.
"""

import io
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import django

from benchmarks.admin_pages import open_pages
from benchmarks.api import read_over_http
from benchmarks.requests import create_key
from benchmarks.writers import roll_over, statements_of_a_writer


def peak_memory() -> int:
    """Return the peak resident memory of this process, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("VmHWM is missing from /proc/self/status; benchmarks need Linux.")


def command(*arguments: str) -> dict[str, Any]:
    """Run a management command and return its report."""
    from django.core.management import call_command

    output = io.StringIO()
    call_command(*arguments, "--format", "json", stdout=output)
    report: dict[str, Any] = json.loads(output.getvalue())
    return report


def command_in_one_thread(*arguments: str) -> dict[str, Any]:
    """Run a command without the second thread that large runs use."""
    from rewards.services.awarding import batches

    batches.SECOND_THREAD_FROM = sys.maxsize
    return command(*arguments)


def query_per_host_and_rule(day: str, hosts: str) -> dict[str, Any]:
    """Query and write for each host and rule separately: the naive implementation."""
    from rewards.choices import RuleType
    from rewards.models import DailyActivity, Host, RewardRule, ScoreHistory

    columns = {
        RuleType.DAILY_LOGIN: "logins",
        RuleType.DAILY_AUDIO_CALL_TARGET: "audio_calls",
        RuleType.DAILY_VIDEO_CALL_TARGET: "video_calls",
    }
    run = _create_run(day)
    awards = 0
    for host in Host.objects.order_by("id")[: int(hosts)].iterator():
        for rule_type, column in columns.items():
            rule = RewardRule.objects.in_force_on(date.fromisoformat(day)).get(rule_type=rule_type)
            counts = DailyActivity.objects.filter(user=host, date=day).values_list(column).first()
            if counts is None or counts[0] < rule.threshold:
                continue
            key = {"user": host, "rule_type": rule_type, "reference_date": day}
            if not ScoreHistory.objects.filter(**key).exists():
                _write_award(host.pk, rule, counts[0], day, run)
                awards += 1
    return {"awards": awards}


def maps_and_two_writes(day: str, hosts: str) -> dict[str, Any]:
    """Read facts, awards and rules into maps; write each award and its score separately."""
    from rewards.choices import Cadence
    from rewards.engine.evaluators import award_evaluator
    from rewards.engine.periods import Period
    from rewards.models import Host
    from rewards.selectors.activity import IdRange, users_by_facts
    from rewards.selectors.ledger import users_by_awarded_type
    from rewards.selectors.rules import active_versions, to_rule

    evaluated = date.fromisoformat(day)
    active = active_versions(period=Period(Cadence.DAILY, evaluated))
    versions = {version.pk: version for version in active}
    rules = [to_rule(version) for version in active]
    evaluate = award_evaluator(rules)
    last = Host.objects.order_by("id").values_list("id", flat=True)[int(hosts) - 1]
    id_range = IdRange(0, last)
    awarded = users_by_awarded_type(
        reference_date=evaluated, rule_types=[rule.rule_type for rule in rules], id_range=id_range
    )
    run = _create_run(day)
    awards = 0
    for facts, users in users_by_facts(days=[evaluated], id_range=id_range).items():
        for rule, measured in evaluate(facts):
            paid = awarded.get(rule.rule_type, ())
            for user in users:
                if user not in paid:
                    _write_award(user, versions[rule.version], measured, day, run)
                    awards += 1
    return {"awards": awards}


def _create_run(day: str) -> Any:
    from django.utils import timezone

    from rewards.choices import Cadence, RunTrigger
    from rewards.models import AwardRun

    return AwardRun.objects.create(
        cadence=Cadence.DAILY,
        reference_date=day,
        attempt=1,
        trigger=RunTrigger.COMMAND,
        started_at=timezone.now(),
        events_seen=0,
    )


def _write_award(user: int, rule: Any, measured: int, day: str, run: Any) -> None:
    """Write one award and update its score in one transaction."""
    from django.db import transaction
    from django.db.models import Case, F, Value, When

    from rewards.models import Score, ScoreHistory

    monday = date.fromisoformat(day) - timedelta(days=date.fromisoformat(day).weekday())
    with transaction.atomic():
        ScoreHistory.objects.create(
            user_id=user,
            rule=rule,
            rule_type=rule.rule_type,
            reference_date=day,
            points=rule.points,
            measured=measured,
            threshold=rule.threshold,
            run=run,
        )
        Score.objects.filter(user_id=user).update(
            lifetime=F("lifetime") + rule.points,
            daily=Case(
                When(daily_date=day, then=F("daily") + rule.points), default=Value(rule.points)
            ),
            daily_date=day,
            weekly=Case(
                When(week_start=monday, then=F("weekly") + rule.points), default=Value(rule.points)
            ),
            week_start=monday,
        )


JOBS: dict[str, Callable[..., dict[str, Any]]] = {
    "command": command,
    "command_in_one_thread": command_in_one_thread,
    "query_per_host_and_rule": query_per_host_and_rule,
    "maps_and_two_writes": maps_and_two_writes,
    "open_pages": open_pages,
    "read_over_http": read_over_http,
    "create_key": create_key,
    "roll_over": roll_over,
    "statements_of_a_writer": statements_of_a_writer,
}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rewards_site.settings")
    django.setup()
    from django.db import connection

    connection.ensure_connection()
    job, *arguments = sys.argv[1:]
    started, cpu_before = time.perf_counter(), time.process_time()
    report = JOBS[job](*arguments)
    result = {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - cpu_before,
        "memory": peak_memory(),
        "report": report,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
