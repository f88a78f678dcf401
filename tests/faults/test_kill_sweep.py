"""A job that ends at any message it sends leaves nothing false, and another run completes it."""

import signal

import pytest

from tests.fault_table import Recorder
from tests.faults.databases import AFTER_RECOVERY, at
from tests.faults.forkserver import Outcome
from tests.faults.jobs import AWARD_DUE, JOBS, Golden, Job
from tests.faults.pg_proxy import Message, Strike, kill_after, kill_before, lose_reply

STRIKES: dict[Strike, tuple[str, str]] = {
    kill_before: ("F1", "killed before a message"),
    kill_after: ("F2", "killed before the reply to a message"),
    lose_reply: ("F3", "connection lost before the reply"),
}


def strike_at(number: int, job: Job, golden: Golden, strike: Strike) -> str | None:
    """Strike at one message of the job and return what is wrong, now or after another run."""
    server = golden.before.server
    with server.copy(golden.before) as database:
        with database.interposer(where=at(number), strike=strike) as interposer:
            outcome = database.manage(*golden.argv, via=interposer, **job.settings)
        if not interposer.fired:
            return "void: the strike did not fire"
        if problem := said_wrong(outcome, strike, golden.messages[number - 1]):
            return f"{problem}: {outcome}"
        if outcome.code == 0 and database.state() != golden.state:
            return f"claims to be done: {outcome}"
        if broken := database.broken() - AFTER_RECOVERY:
            return f"broken at once: {broken}"

        database.settle()
        again = database.manage(*golden.argv, **job.settings)
        if again.code != 0:
            return f"the next run ended {again}"
        if broken := database.broken():
            return f"broken after recovery: {broken}"
        if database.state() != golden.state:
            return f"the ledger is {database.state().digest}, not {golden.state.digest}"
    return None


def said_wrong(outcome: Outcome, strike: Strike, message: Message) -> str | None:
    """Return what a process struck at `message` should not have ended with."""
    if strike is not lose_reply:
        return None if outcome.code == -signal.SIGKILL else "outlived its death"
    if outcome.code == 0 and message.text != "COMMIT":
        return None  # of what was left to do, nothing mattered
    if outcome.code != 1 or "Traceback" in outcome.err:
        return "a lost connection ends with a sentence and exit code 1"
    if message.kind in "^p":
        return None if "Cannot reach the database" in outcome.err else "was never connected"
    if "is unknown" in outcome.err and "safe to run again" in outcome.err:
        return None
    return "nobody knows what the server did"


def sweep(job: Job, strike: Strike, golden: Golden, numbers: list[int], fault: Recorder) -> None:
    number, name = STRIKES[strike]
    fault(number, f"{name}: {job}", len(numbers))
    wrong = {
        str(golden.messages[each - 1]): problem
        for each in numbers
        if (problem := strike_at(each, job, golden, strike))
    }
    assert not wrong, "\n".join(f"{message}\n    {problem}" for message, problem in wrong.items())


@pytest.mark.parametrize("strike", STRIKES, ids=lambda strike: strike.__name__)
@pytest.mark.parametrize("job", JOBS, ids=str)
def test_a_job_survives_a_strike_at_every_message(job, strike, golden_of, fault):
    golden = golden_of(job)

    # A process says good-bye and is gone: there is nothing left to strike at.
    numbers = [message.number for message in golden.messages if message.kind != "X"]
    sweep(job, strike, golden, numbers, fault)


@pytest.mark.parametrize("strike", STRIKES, ids=lambda strike: strike.__name__)
@pytest.mark.parametrize("job", [job for job in JOBS if job is not AWARD_DUE], ids=str)
def test_a_job_survives_a_strike_at_each_of_its_commits(job, strike, golden_of, fault):
    golden = golden_of(job)

    commits = [message.number for message in golden.messages if message.text == "COMMIT"]
    assert commits
    sweep(job, strike, golden, commits, fault)


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_nothing_is_sent_beyond_what_the_sweep_has_recorded(job, golden_of):
    golden = golden_of(job)

    with golden.before.server.copy(golden.before) as database:
        with database.interposer(where=at(len(golden.messages) + 1)) as interposer:
            outcome = database.manage(*golden.argv, via=interposer, **job.settings)

        assert (outcome.code, interposer.fired) == (0, 0)
        assert [m.kind for m in interposer.messages] == [m.kind for m in golden.messages]
