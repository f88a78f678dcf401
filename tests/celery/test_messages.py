"""Messages that no part of the product sends."""

import pickle
from pathlib import Path

from kombu import Connection, Producer

from rewards.models import AwardBatch, AwardRun, ScoreHistory
from tests.celery.sample import assert_as_if_undisturbed, everything_is_done
from tests.celery.stack import wait_until


class Bomb:
    """Touches a file when unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return (Path.touch, (self.file,))


def test_a_pickled_message_is_refused_unread(stack, tmp_path):
    mark = tmp_path / "mark"
    worker = stack.worker()
    pickle.loads(pickle.dumps(Bomb(mark)))  # noqa: S301 - it would go off
    mark.unlink()

    with Connection(stack.broker.url) as connection:
        Producer(connection, routing_key="rewards").publish(
            pickle.dumps(Bomb(mark)),
            content_type="application/x-python-serialize",
            content_encoding="binary",
            headers={"task": "award_due", "id": "1", "lang": "py"},
        )
    worker.wait_for("Refusing to deserialize")
    stack.send("award_due")
    wait_until(everything_is_done, "the awards")

    assert not mark.exists()
    assert_as_if_undisturbed(tmp_path)


FORGED = [
    # not the arguments of the task
    ("award_batches", ()),
    ("award_batches", (1, 2)),
    ("award_due", ("2004-04-28",)),
    # not a number of a run
    ("award_batches", ("1; DROP TABLE rewards_scorehistory",)),
    ("award_batches", (None,)),
    ("award_batches", ([1, 2],)),
    ("award_batches", ({"pk": 1},)),
    ("award_batches", (1.5,)),
    # the number of no run
    ("award_batches", (-1,)),
    ("award_batches", (999_999,)),
    ("award_batches", (10**30,)),
    # no task of ours
    ("os.system", ("true",)),
    ("rewards.services.awards.award_daily", ()),
]


def test_forged_messages_write_nothing(stack, tmp_path):
    worker = stack.worker()

    for task, arguments in FORGED:
        stack.send(task, *arguments)
    wait_until(stack.is_idle, "an empty queue")

    assert worker.said().count("received") >= len(FORGED) - 2, worker.said()
    assert not AwardRun.objects.exists()
    assert not AwardBatch.objects.exists()
    assert not ScoreHistory.objects.exists()
    stack.send("award_due")
    wait_until(everything_is_done, "the awards")
    runs = list(AwardRun.objects.values())
    for run in runs:  # all of them have ended
        stack.send("award_batches", run["id"])
    wait_until(stack.is_idle, "an empty queue")
    assert list(AwardRun.objects.values()) == runs
    assert_as_if_undisturbed(tmp_path)
