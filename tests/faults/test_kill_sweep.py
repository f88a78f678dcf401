"""A job that ends at any of its messages leaves nothing false, and another run completes it."""

import signal

import pytest

from tests.fault_table import Recorder
from tests.faults.databases import RECOVERABLE, at
from tests.faults.forkserver import Outcome
from tests.faults.jobs import AWARD_DAILY, JOBS, SMOKE, Golden, Job
from tests.faults.pg_proxy import (
    Action,
    Message,
    interrupt,
    kill_after,
    kill_before,
    lose_reply,
    terminate,
)

ACTIONS: dict[Action, tuple[str, str]] = {
    kill_before: ("F1", "killed before a message"),
    kill_after: ("F2", "killed before the reply to a message"),
    lose_reply: ("F3", "connection lost before the reply"),
    interrupt: ("F4", "SIGINT before the reply"),
    terminate: ("F4", "SIGTERM before the reply"),
}


def problem_at(number: int, job: Job, golden: Golden, action: Action) -> str | None:
    """Inject a fault at one message; return what is wrong afterwards or after another run."""
    server = golden.before.server
    with server.copy(golden.before) as database:
        with database.proxy(where=at(number), action=action) as proxy:
            outcome = database.manage(*golden.argv, via=proxy, **job.settings)
        if not proxy.fired:
            return "the fault did not fire"
        if problem := wrong_end(outcome, action, golden.messages[number - 1]):
            return f"{problem}: {outcome}"
        if outcome.code == 0 and database.state() != golden.state:
            return f"claims to be done: {outcome}"
        if violations := database.violations() - RECOVERABLE - job.repairs:
            return f"violations after the fault: {violations}"

        database.wait_until_idle()
        again = database.manage(*golden.argv, **job.settings)
        if again.code != 0:
            return f"the next run ended with {again}"
        if violations := database.violations():
            return f"violations after recovery: {violations}"
        if database.state() != golden.state:
            return f"the ledger is {database.state().digest}, not {golden.state.digest}"
    return None


def wrong_end(outcome: Outcome, action: Action, message: Message) -> str | None:
    """Return what is wrong with the exit code or the error output, if anything."""
    if action in {kill_before, kill_after}:
        return None if outcome.code == -signal.SIGKILL else "the process was not killed"
    if action in {interrupt, terminate}:
        is_clean = "safe to run again" in outcome.err and "Traceback" not in outcome.err
        code = 130 if action is interrupt else 143
        return None if is_clean and outcome.code == code else f"not ended as by code {code}"
    if outcome.code == 0 and message.text != "COMMIT":
        return None  # nothing that remained to be done mattered
    if outcome.code != 1 or "Traceback" in outcome.err:
        return "a lost connection ends with a sentence and exit code 1"
    if message.kind in "^p":
        return None if "Cannot reach the database" in outcome.err else "it was never connected"
    if "is unknown" in outcome.err and "safe to run again" in outcome.err:
        return None
    return "the error does not say that the outcome is unknown"


def sweep(job: Job, action: Action, golden: Golden, numbers: list[int], fault: Recorder) -> None:
    number, name = ACTIONS[action]
    fault(number, f"{name}: {job}", len(numbers))
    problems = {
        str(golden.messages[n - 1]): problem
        for n in numbers
        if (problem := problem_at(n, job, golden, action))
    }
    assert not problems, "\n".join(f"{at}\n    {problem}" for at, problem in problems.items())


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
@pytest.mark.parametrize("job", JOBS, ids=str)
def test_a_job_survives_a_fault_at_every_message(job, action, golden_of, fault):
    golden = golden_of(job)

    # Before its last message, X, the process has done its work.
    numbers = [message.number for message in golden.messages if message.kind != "X"]
    sweep(job, action, golden, numbers, fault)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
@pytest.mark.parametrize("job", [SMOKE, *(job for job in JOBS if job is not AWARD_DAILY)], ids=str)
def test_a_job_survives_a_fault_at_each_commit(job, action, golden_of, fault):
    golden = golden_of(job)

    assert golden.commits()
    sweep(job, action, golden, golden.commits(), fault)


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_a_job_sends_no_message_that_the_sweep_misses(job, golden_of):
    golden = golden_of(job)

    with golden.before.server.copy(golden.before) as database:
        with database.proxy(where=at(len(golden.messages) + 1)) as proxy:
            outcome = database.manage(*golden.argv, via=proxy, **job.settings)

        assert (outcome.code, proxy.fired) == (0, 0)
        assert [m.kind for m in proxy.messages] == [m.kind for m in golden.messages]
