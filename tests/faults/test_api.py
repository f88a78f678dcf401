"""A request with events that ends at any of its messages is sent again: stored once, paid once."""

from dataclasses import dataclass, replace

import pytest

from tests.fault_table import Recorder
from tests.faults.api import (
    IN_ZONE,
    NIGHT,
    TODAY,
    Answer,
    create_key,
    event,
    import_events,
    serving,
    set_rules,
)
from tests.faults.databases import Database, Server, State, at
from tests.faults.pg_proxy import (
    Action,
    Message,
    cut_before,
    kill_after,
    kill_before,
    lose_reply,
)

ACTIONS: dict[Action, tuple[str, str]] = {
    kill_before: ("F1", "killed before a message"),
    kill_after: ("F2", "killed before the reply to a message"),
    lose_reply: ("F3", "connection lost before the reply"),
    cut_before: ("F3", "connection cut before a message"),
}

BEFORE = [event("call-1", "ana", "audio_call")]
"""Stored before the request."""

EVENTS = [
    event("login-1", "ana"),  # one award
    event("call-2", "ana", "audio_call"),  # and another
    event("login-2", "bo"),  # a new host
    event("call-3", "cy", "audio_call"),  # below the threshold
    event("call-1", "ana", "audio_call"),  # stored before
]
PAID = [
    ("ana", "DAILY_AUDIO_CALL_TARGET", TODAY, 25, 2, 2),
    ("ana", "DAILY_LOGIN", TODAY, 10, 1, 1),
    ("bo", "DAILY_LOGIN", TODAY, 10, 1, 1),
]


@dataclass(frozen=True)
class Golden:
    """The messages and the result of the request without a fault."""

    before: Database
    key: str
    messages: list[Message]
    moments: list[State]
    """Before the request and after it."""
    state: State
    """After the run of the night."""


@pytest.fixture(scope="module")
def open_day(server: Server, empty: Database) -> Database:
    """Today's rules and one call, without awards. Copy it, never change it."""
    database = server.database(like=empty.name)
    set_rules(database)
    import_events(database, BEFORE)
    return database


@pytest.fixture(scope="module")
def golden(open_day: Database) -> Golden:
    before = open_day.server.database(like=open_day.name)
    key = create_key(before)
    before.wait_until_idle()
    moments = [before.state()]
    with before.server.copy(before) as database:
        with database.proxy() as proxy, serving(database, key, via=proxy) as api:
            answer = api.post(EVENTS)
        assert answer.status == 200
        assert (answer.body["stored"], answer.body["duplicates"]) == (4, 1)
        assert len(answer.body["awards"]) == len(PAID)
        moments.append(database.state())
        assert moments[1].ledger == PAID
        award_today(database)
        state = database.state()
    assert state.ledger == PAID
    # A worker that ends says goodbye, when it has done its work.
    messages = [message for message in proxy.messages if message.kind != "X"]
    return Golden(before, key, messages, moments, state)


def award_today(database: Database) -> None:
    database.prepare("award_daily", "--date", str(TODAY), clock=NIGHT, **IN_ZONE)
    assert database.violations(clock=NIGHT, **IN_ZONE) == set()


def test_a_file_import_has_the_same_outcome_as_the_request(golden, open_day):
    with open_day.server.copy(open_day) as database:
        import_events(database, EVENTS)
        award_today(database)

        assert database.state() == golden.state


def problem_at(number: int, golden: Golden, action: Action) -> str | None:
    """Inject a fault at one message; return what is wrong then, or after another request."""
    with golden.before.server.copy(golden.before) as database:
        with (
            database.proxy(where=at(number), action=action) as proxy,
            serving(database, golden.key, via=proxy) as api,
        ):
            first = api.post(EVENTS)
            if not proxy.fired:
                return "the fault did not fire"
            if problem := wrong_answer(first, action):
                return problem
            if not is_one_of(database.state(), golden.moments):
                return f"half done: {database.state()}"
            again = api.post(EVENTS)
        if again.status != 200 or again.body["problems"]:
            return f"sent again: {again}"
        if again.body["stored"] + again.body["duplicates"] != len(EVENTS):
            return f"sent again: {again}"
        if first.status == 200 and again.body["stored"]:
            return f"answered without storing: {first}"
        if not is_one_of(database.state(), golden.moments[1:]):
            return f"after both: {database.state()}"
        award_today(database)
        if database.state() != golden.state:
            return f"the ledger is {database.state().digest}, not {golden.state.digest}"
    return None


def is_one_of(state: State, moments: list[State]) -> bool:
    """Return whether a state is that of a moment; the live run may have been opened before."""
    return any(replace(state, unfinished=moment.unfinished) == moment for moment in moments)


def wrong_answer(answer: Answer, action: Action) -> str | None:
    if action in {kill_before, kill_after}:
        return None if answer.status == 0 else f"killed, and answered {answer}"
    if answer.status == 200 or answer.body.get("type") == "urn:rewards:problem:busy":
        return None
    return f"the connection was lost: {answer}"


def sweep(action: Action, golden: Golden, numbers: list[int], fault: Recorder) -> None:
    number, name = ACTIONS[action]
    fault(number, f"{name}: POST /events", len(numbers))
    problems = {
        str(golden.messages[n - 1]): problem
        for n in numbers
        if (problem := problem_at(n, golden, action))
    }
    assert not problems, "\n".join(f"{at}\n    {problem}" for at, problem in problems.items())


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
def test_a_request_survives_a_fault_at_every_message(action, golden, fault):
    sweep(action, golden, [message.number for message in golden.messages], fault)


@pytest.mark.smoke
@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
def test_a_request_survives_a_fault_at_its_commit(action, golden, fault):
    *_, last = (message.number for message in golden.messages if message.text == "COMMIT")

    sweep(action, golden, [last], fault)


def test_a_request_sends_no_message_that_the_sweep_misses(golden):
    with golden.before.server.copy(golden.before) as database:
        beyond = at(len(golden.messages) + 1)
        with database.proxy(where=beyond) as proxy, serving(database, golden.key, via=proxy) as api:
            answer = api.post(EVENTS)
            found = [message.kind for message in proxy.messages]

        assert (answer.status, proxy.fired) == (200, 0)
        assert found == [message.kind for message in golden.messages]
