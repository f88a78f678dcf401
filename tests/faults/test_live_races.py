"""Live awards beside other jobs: one award of the right version, and no request waits long."""

import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from rewards.services.db_errors import LOCK_TIMEOUT
from tests.faults.api import (
    IN_ZONE,
    NIGHT,
    TODAY,
    Api,
    create_key,
    event,
    import_events,
    serving,
    set_rules,
    write_events,
)
from tests.faults.databases import RECOVERABLE, Database, Server, State
from tests.faults.forkserver import TIMEOUT_SECONDS, Command
from tests.faults.pg_proxy import Message, PgProxy, Session

REFUSED = {2, 3}
"""The exit codes of a rule that comes too late, and of a run that another process is opening."""

MAX_SECONDS = 3 * int(LOCK_TIMEOUT.removesuffix("s")) + 2
"""How long a request takes at most: three tries that wait for a lock, and the pauses between."""

LOGIN = event("login-1", "ana")
CALLS = [event("call-1", "ana", "audio_call"), event("call-2", "ana", "audio_call")]
EARLIER = [event(f"before-{host}", host, day=-2) for host in ("ana", "bo", "cy")]


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """A command that works on the host of a request at the same time."""

    name: str
    argv: Callable[[Database], list[str]]
    before: Callable[[Database], None] = lambda database: None
    clock: str | None = None

    def __str__(self) -> str:
        return self.name

    def start(self, database: Database, *, via: PgProxy | None = None) -> Command:
        return database.start(*self.argv(database), via=via, clock=self.clock, **IN_ZONE)


def damage_scores(database: Database) -> None:
    database.execute("UPDATE rewards_score SET lifetime = lifetime + 1")


def file_of_today(database: Database) -> list[str]:
    """A file with the second call of today, which earns an award if the request has the first."""
    path = write_events(database.server.folder / f"{database.name}.file.jsonl", CALLS[1:])
    return ["import_activity", path, "--source", "app"]


RUN_OF_THE_DAY = Job(
    name="run of the day",
    argv=lambda _: ["award_daily", "--date", str(TODAY)],
    clock=NIGHT,
)
ROLL_OVER = Job(
    name="roll-over",
    argv=lambda _: ["award_daily", "--date", str(TODAY - timedelta(days=1))],
)
REPAIR_SCORES = Job(
    name="repair of scores",
    argv=lambda _: ["verify_ledger", "--repair-scores"],
    before=damage_scores,
)
IMPORT_ACTIVITY = Job(name="import of the day", argv=file_of_today)
SET_RULE = Job(
    name="set_rule for today",
    argv=lambda _: [
        *("set_rule", "DAILY_LOGIN", "--threshold", "1", "--points", "30"),
        *("--starts-on", str(TODAY)),
    ],
)
JOBS = [RUN_OF_THE_DAY, ROLL_OVER, REPAIR_SCORES, IMPORT_ACTIVITY, SET_RULE]

EVENTS = [LOGIN, CALLS[0]]

STEPS = {
    "opens the live run": 'INSERT INTO "rewards_awardrun"',
    "stores the events": "INSERT INTO rewards_activityevent",
    "pays": "COPY rewards_scorehistory",
    "changes the score": "INSERT INTO rewards_score ",
}


@pytest.fixture(scope="module")
def key_and_days(server: Server, empty: Database) -> tuple[str, Database]:
    """Three hosts paid for the day before yesterday, and rules. Copy it, never change it."""
    database = server.database(like=empty.name)
    set_rules(database, starts_on=TODAY - timedelta(days=3))
    import_events(database, EARLIER)
    database.prepare("award_daily", "--date", str(TODAY - timedelta(days=2)), **IN_ZONE)
    key = create_key(database)
    database.wait_until_idle()
    return key, database


def before_the_first(part: str) -> Callable[[Message], bool]:
    return lambda message: part in message.text


def before_the_commit_after(part: str) -> Callable[[Message], bool]:
    has_passed: list[bool] = []

    def where(message: Message) -> bool:
        if part in message.text:
            has_passed.append(True)
        return message.text == "COMMIT" and bool(has_passed)

    return where


def finish_the_days(database: Database) -> State:
    """Run what the night runs; return the outcome, after checks of what holds then."""
    assert database.violations(clock=NIGHT, **IN_ZONE) <= RECOVERABLE
    for _ in range(2):  # activity that was committed late makes a day due again
        database.prepare("award_due", clock=NIGHT, **IN_ZONE)
    assert database.violations(clock=NIGHT, **IN_ZONE) == set()
    return database.state()


@pytest.fixture(scope="module")
def outcome_of(key_and_days) -> Callable[[Job], list[State]]:
    """Return the states that a job and EVENTS may leave, from imports and runs of the night."""
    _, days = key_and_days

    def outcomes(job: Job) -> list[State]:
        found = []
        for is_done in {True, job is not SET_RULE}:
            with days.server.copy(days) as database:
                if is_done and job.clock is None:
                    assert job.start(database).wait().code == 0
                import_events(database, EVENTS)
                found.append(finish_the_days(database))
        return found

    return outcomes


def timed_post(api: Api, events) -> tuple[Any, float]:
    began = time.monotonic()
    answer = api.post(events)
    return answer, time.monotonic() - began


@pytest.mark.parametrize("step", [*STEPS, "commits"])
@pytest.mark.parametrize("job", JOBS, ids=str)
def test_a_job_meets_a_request_that_is_open(job, step, key_and_days, outcome_of, fault):
    key, days = key_and_days
    where = (
        before_the_commit_after(STEPS["changes the score"])
        if step == "commits"
        else before_the_first(STEPS[step])
    )
    started: list[Command] = []

    with days.server.copy(days) as database:
        job.before(database)

        def run_the_job(session: Session) -> None:
            """Let the job wait for the locks of the request, or end."""
            started.append(job.start(database))
            database.wait_until(lambda: bool(database.waiting()) or started[0].has_ended)

        with (
            database.proxy(where=where, action=run_the_job) as proxy,
            serving(database, key, via=proxy, lock_timeout="10s") as api,
        ):
            answer = api.post(EVENTS)
        outcome = started[0].wait()
        fault("F6", f"{job} meets an open request", proxy.fired)

        assert (answer.status, answer.body.get("stored")) == (200, 2), answer
        assert outcome.code in {0, *REFUSED}, outcome
        assert finish_the_days(database) in outcome_of(job)


HELD = [
    # the job, where it is held, and what it sends then or has sent
    (RUN_OF_THE_DAY, before_the_commit_after, "rewards_awardrun"),
    (RUN_OF_THE_DAY, before_the_first, "pg_advisory_unlock("),
    (RUN_OF_THE_DAY, before_the_commit_after, "rewards_score "),
    (ROLL_OVER, before_the_commit_after, "rewards_awardrun"),
    (ROLL_OVER, before_the_commit_after, "rewards_score "),
    (REPAIR_SCORES, before_the_commit_after, "rewards_score "),
    (IMPORT_ACTIVITY, before_the_commit_after, "INSERT INTO rewards_activityevent"),
    (SET_RULE, before_the_commit_after, "rewards_rewardrule"),
]


@pytest.mark.parametrize(
    ("job", "where", "part"), HELD, ids=lambda value: getattr(value, "__name__", str(value))
)
def test_a_request_meets_a_job_that_is_open(job, where, part, key_and_days, outcome_of, fault):
    """The job is held until the request is answered."""
    key, days = key_and_days
    with days.server.copy(days) as database:
        job.before(database)
        found: list[tuple[Any, float]] = []
        with serving(database, key, lock_timeout="10s") as api:

            def request(session: Session) -> None:
                found.append(timed_post(api, EVENTS))

            with database.proxy(where=where(part), action=request) as proxy:
                outcome = job.start(database, via=proxy).wait()
            again = api.post(EVENTS)
        fault("F6", f"a request meets an open {job}", proxy.fired)

        ((answer, seconds),) = found
        assert answer.status == 200 or answer.body["type"] == "urn:rewards:problem:busy", answer
        assert seconds < MAX_SECONDS
        assert outcome.code in {0, *REFUSED}, outcome
        assert again.status == 200, again
        assert again.body["stored"] + again.body["duplicates"] == len(EVENTS)
        assert finish_the_days(database) in outcome_of(job)


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("kind", "ids", "award"),
    [
        ("login", 8, ("DAILY_LOGIN", 10, 1)),
        ("login", 1, ("DAILY_LOGIN", 10, 1)),
        ("audio_call", 8, ("DAILY_AUDIO_CALL_TARGET", 25, 2)),
    ],
    ids=["different ids", "the same id", "a threshold of two"],
)
def test_eight_processes_pay_one_award(kind, ids, award, key_and_days, fault):
    """Of eight requests for a host, the one that crosses the threshold pays."""
    key, days = key_and_days
    requests = [[event(f"event-{n % ids}", "ana", kind)] for n in range(8)]
    gate = threading.Barrier(8)

    def hold(session: Session) -> None:
        gate.wait(TIMEOUT_SECONDS)

    with days.server.copy(days) as database:
        with (
            database.proxy(
                where=before_the_first("INSERT INTO rewards_activityevent"), action=hold, times=8
            ) as proxy,
            serving(database, key, via=proxy, workers=8) as api,
            ThreadPoolExecutor(8) as pool,
        ):
            answers = list(pool.map(api.post, requests))
        fault("F5", "8 requests at once", proxy.fired // 8)

        assert {answer.status for answer in answers} == {200}, answers
        awards = itertools.chain.from_iterable(answer.body["awards"] for answer in answers)
        assert [(a["rule_type"], a["points"], a["measured"]) for a in awards] == [award]
        assert sum(answer.body["stored"] for answer in answers) == ids
        state = finish_the_days(database)
        paid = [(row[1], row[3], row[4]) for row in state.ledger if row[2] == TODAY]
        assert paid == [award]
        counts = [row[2:4] for row in state.activity if row[1] == TODAY]
        assert counts == [(ids, 0) if kind == "login" else (0, ids)]
