"""A tick every hour across a change of clocks, and activity that is committed late."""

from collections import Counter
from datetime import date, datetime, timedelta

import pytest

from rewards.choices import Cadence, RunStatus, RunTrigger
from rewards.engine.business_days import ONE_DAY, monday_of
from rewards.engine.periods import Period
from rewards.models import AwardRun, ScoreHistory
from rewards.services.due import award_due
from tests.celery.sample import all_is_awarded
from tests.processes import barrier, finish, start_with_fault, wait_until, wait_until_held
from tests.test_sample import in_process

HEADER = "event_id,user_id,kind,occurred_at,duration_seconds\n"
HOUR = timedelta(hours=1)

CHANGES = [
    # zone, day of the change, its first instant and that of the next day
    ("Europe/Berlin", "2024-03-31", "2024-03-30T23:00Z", "2024-03-31T22:00Z"),  # 23 hours
    ("Europe/Berlin", "2024-10-27", "2024-10-26T22:00Z", "2024-10-27T23:00Z"),  # 25 hours
    ("America/Santiago", "2024-04-06", "2024-04-06T03:00Z", "2024-04-07T04:00Z"),  # 25 hours
    ("America/Santiago", "2024-09-08", "2024-09-08T04:00Z", "2024-09-09T03:00Z"),  # no midnight
]


@pytest.mark.parametrize(("zone", "day", "begins", "ends"), CHANGES)
def test_a_change_of_clocks_misses_no_day_and_pays_none_twice(
    zone, day, begins, ends, committed, settings, tmp_path
):
    settings.REWARDS_TIME_ZONE = zone
    day, begins, ends = (
        date.fromisoformat(day),
        datetime.fromisoformat(begins),
        datetime.fromisoformat(ends),
    )
    logins = {
        # host: when it logged in, and the business day of that instant
        "the-day-before": (begins - timedelta(seconds=1), day - ONE_DAY),
        "first": (begins, day),
        "last": (ends - timedelta(seconds=1), day),
        "the-day-after": (ends, day + ONE_DAY),
    }
    rows = [f"{host},{host},login,{at.isoformat()},0\n" for host, (at, _) in logins.items()]
    (tmp_path / "activity.csv").write_text(HEADER + "".join(rows))
    in_process("import_activity", tmp_path / "activity.csv", "--create-hosts")
    for rule, points in (("DAILY_LOGIN", 10), ("WEEKLY_CONSISTENCY", 100)):
        terms = ("--threshold", 1, "--points", points, "--starts-on", "2024-01-01")
        in_process("set_rule", rule, *terms)
    closed = {}

    now = begins - 30 * HOUR
    while now < ends + 10 * 24 * HOUR:
        for run in award_due(now=now, trigger=RunTrigger.BEAT).runs:
            closed[run.period] = now
        now += HOUR

    awards = ScoreHistory.objects.filter(rule_type="DAILY_LOGIN")
    assert sorted(awards.values_list("user__external_id", "reference_date")) == sorted(
        (host, belongs_to) for host, (_, belongs_to) in logins.items()
    )
    assert closed[Period(Cadence.DAILY, day - ONE_DAY)] == begins  # at the end of the day
    assert closed[Period(Cadence.DAILY, day)] == ends
    weeks = {monday_of(belongs_to) for _, belongs_to in logins.values()}
    assert {p.reference_date for p in closed if p.cadence == Cadence.WEEKLY} == weeks
    runs = Counter(AwardRun.objects.values_list("cadence", "reference_date"))
    assert set(runs.values()) == {1}
    assert len(runs) == 3 + len(weeks)
    in_process("verify_ledger")


def test_an_import_committed_after_the_run_of_its_day_is_paid(stack, fault, tmp_path):
    late = tmp_path / "late.csv"
    late.write_text(HEADER + "late-1,latecomer,login,2004-04-30T12:00:00Z,0\n")
    stack.worker(application="tests.celery.app_fixed_clock", NOW="2004-05-03T02:00:00+00:00")
    with barrier() as release:
        ingest = start_with_fault(
            "--hold-at",
            "rewards_dailyactivity",
            *("import_activity", str(late), "--create-hosts", "--verbosity", "0"),
        )
        wait_until_held(ingest)
        stack.send("award_due")
        wait_until(all_is_awarded, stack.outputs)
        before = set(ScoreHistory.objects.values_list("pk", flat=True))
        release()
        assert finish(ingest)[0] == 0
    fault("F28", "an import that commits after the run of its day")

    def again():
        return AwardRun.objects.filter(attempt=2, status=RunStatus.DONE)

    stack.send("award_due")
    wait_until(lambda: again().count() == 2, stack.outputs)
    stack.send("award_due")
    wait_until(stack.is_idle, stack.outputs)

    assert not AwardRun.objects.filter(attempt__gt=2).exists()
    assert sorted(again().values_list("cadence", "reference_date", "awards")) == [
        ("daily", date(2004, 4, 30), 1),
        ("weekly", date(2004, 4, 26), 0),
    ]
    (award,) = ScoreHistory.objects.exclude(pk__in=before)
    assert award.user.external_id == "latecomer"
    assert award.reference_date == date(2004, 4, 30)
    in_process("verify_ledger")
