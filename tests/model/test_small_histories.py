"""All small histories: every order of five jobs, each with a crash at each of its statements."""

import copy
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction

from tests.model import driver as engine
from tests.model.reference import DAY, WEEKLY, Event, Reference, Version

pytestmark = pytest.mark.faults

FIRST = date(2024, 9, 2)
"""A Monday."""
AFTER = engine.at(FIRST + 21 * DAY)
HOSTS = ["ana", "bo"]

JOBS = ["monday", "tuesday", "sunday", "week", "late"]
"""Award one of three days or their week, or import a late login."""


@contextmanager
def rolled_back() -> Iterator[None]:
    """Roll the block back, so that the next branch starts from the same state."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


class History:
    """Ana is active on three days; Bo on two, and on the third with a login that arrives late."""

    def __init__(self, folder):
        self.folder = folder
        self.reference = Reference(zone=ZoneInfo("UTC"))
        for host in HOSTS:
            self.reference.add_host(host)
            engine.add_host(host)
        for rule_type, version in {
            "DAILY_LOGIN": Version(1, 10, True),
            WEEKLY: Version(3, 100, True),
        }.items():
            self.reference.set_rule(rule_type, FIRST - DAY, version)
            engine.set_rule(rule_type, FIRST - DAY, version, FIRST - DAY)
        self.days = {"monday": FIRST, "tuesday": FIRST + DAY, "sunday": FIRST + 6 * DAY}
        logins = [
            Event(f"{host}-{day}", host, "login", engine.at(day), 0)
            for host in HOSTS
            for day in self.days.values()
        ]
        *in_time, self.late_login = logins
        engine.ingest(in_time, AFTER, self.folder / "activity.csv")
        self.reference.ingest(in_time, AFTER)

    def branch(self):
        """Return a copy to continue and then discard."""
        branch = copy.copy(self)
        branch.reference = copy.deepcopy(self.reference)
        return branch

    def run(self, job, *, crash_at=None):
        """Run a job on the database; return whether it reached the statement to crash at."""
        with crashing_at(crash_at) as has_crashed:
            if job == "late":
                engine.ingest([self.late_login], AFTER, self.folder / "activity.csv")
            elif job == "week":
                engine.award(FIRST, AFTER, is_week=True)
            else:
                engine.award(self.days[job], AFTER)
        return has_crashed()

    def record(self, job):
        """Do the same in the reference."""
        if job == "late":
            self.reference.ingest([self.late_login], AFTER)
        elif job == "week":
            self.reference.award(FIRST, is_week=True)
        else:
            self.reference.award(self.days[job])

    def check(self):
        assert engine.ledger() == self.reference.ledger
        assert engine.scores() == self.reference.scores()


@contextmanager
def crashing_at(statement):
    """Fail the n-th statement once: the transaction around the history has to continue."""
    seen = 0

    def wrapper(execute, *arguments):
        nonlocal seen
        seen += 1
        if seen == statement:
            raise engine.Crash
        return execute(*arguments)

    try:
        with connection.execute_wrapper(wrapper):
            yield lambda: statement is not None and seen >= statement
    except engine.Crash:
        assert statement is not None
        # A crashed process holds no lock, but this session continues.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock_all()")


def crashes(history, *, depth, path=(), jobs=JOBS):
    """Run every order of up to `depth` jobs, each first with a crash at each of its statements.

    The first job is one of `jobs`. Yields after each crash, before its outcome is checked.
    """
    if len(path) == depth:
        return
    for job in jobs:
        if job in path:
            continue
        for statement in itertools.count(1):
            with rolled_back():
                branch = history.branch()
                if not branch.run(job, crash_at=statement):
                    break
                yield
                assert engine.broken(AFTER) <= {"I12"}, (path, job, statement)
                branch.run(job)
                branch.record(job)
                branch.check()
        with rolled_back():
            branch = history.branch()
            branch.run(job)
            branch.record(job)
            branch.check()
            yield from crashes(branch, depth=depth, path=(*path, job))


def count(crashes, fault, name):
    """Go through to the end and record the crashes, also if the last one has a wrong outcome."""
    number = 0
    try:
        for _ in crashes:
            number += 1
    finally:
        fault("F1", name, number)
    return number


@pytest.mark.smoke
@pytest.mark.django_db
def test_every_job_survives_a_crash_at_every_statement(settings, tmp_path, fault):
    settings.REWARDS_BATCH_SIZE = 1

    every = crashes(History(tmp_path), depth=1)

    assert count(every, fault, "crash at a statement of one job") > 80


@pytest.mark.django_db
@pytest.mark.parametrize("first", JOBS)
def test_every_order_of_jobs_survives_a_crash_at_every_statement(settings, tmp_path, first, fault):
    settings.REWARDS_BATCH_SIZE = 1

    every = crashes(History(tmp_path), depth=len(JOBS), jobs=[first])

    assert count(every, fault, "crash at a statement, in any order of five jobs") > 1_000
