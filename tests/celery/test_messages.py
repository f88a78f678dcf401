"""Messages that arrive again, out of order, from a command, or from somebody else."""

import pickle
from pathlib import Path

from kombu import Connection, Producer

from rewards.choices import RunStatus
from rewards.models import AwardBatch, AwardRun, ScoreHistory
from tests.celery.sample import all_is_awarded, assert_awarded_once
from tests.processes import finish, start, wait_until


def test_the_same_message_fifty_times_is_one_run(stack, workers, fault, tmp_path):
    for _ in range(50):
        stack.send("award_due", task_id="one-and-the-same")
    wait_until(stack.is_idle, stack.outputs)
    received = stack.outputs().count("Task award_due[one-and-the-same] received")
    fault("F17", "the same message again", received - 1)

    assert received >= 50
    assert_awarded_once(tmp_path)


def test_a_week_enqueued_before_its_days_is_paid(stack, workers, fault, tmp_path):
    jobs = [
        ["award_weekly", "--week", "2004-04-19", "--enqueue"],
        ["award_daily", "--from", "2004-04-22", "--to", "2004-04-25", "--enqueue"],
    ]

    for job in jobs:
        code, out, err = finish(start(["manage.py", *job], **stack.settings))
        assert (code, err) == (0, ""), out
    order = AwardRun.objects.order_by("started_at").values_list("cadence", flat=True)
    fault("F17", "a week before its days", int(order[0] == "weekly"))
    stack.tick_until(all_is_awarded)

    assert_awarded_once(tmp_path)


def test_workers_share_a_run_that_a_command_enqueued(stack, workers):
    code, out, err = finish(
        start(
            ["manage.py", "award_daily", "--date", "2004-04-30", "--enqueue"],
            **stack.settings | {"REWARDS_BATCH_SIZE": "5"},
        )
    )

    assert (code, err) == (0, "")
    assert "2004-04-30: Awarded" in out
    wait_until(
        lambda: all("Task award_batches" in worker.output() for worker in workers), stack.outputs
    )
    assert AwardBatch.objects.filter(status="done").count() >= 20
    assert AwardRun.objects.get().status == RunStatus.DONE


class Bomb:
    """An object that touches a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return (Path.touch, (self.file,))


def test_a_pickled_message_is_not_unpickled(stack, workers, tmp_path):
    file = tmp_path / "touched"
    pickle.loads(pickle.dumps(Bomb(file)))  # noqa: S301 - the bomb works
    file.unlink()

    with Connection(stack.broker.url) as connection:
        Producer(connection, routing_key="rewards").publish(
            pickle.dumps(Bomb(file)),
            content_type="application/x-python-serialize",
            content_encoding="binary",
            headers={"task": "award_due", "id": "1", "lang": "py"},
        )
    wait_until(lambda: "Refusing to deserialize" in stack.outputs(), stack.outputs)
    stack.send("award_due")
    wait_until(all_is_awarded, stack.outputs)

    assert not file.exists()
    assert_awarded_once(tmp_path)


FORGED = [
    # wrong arguments
    ("award_batches", ()),
    ("award_batches", (1, 2)),
    ("award_due", ("2004-04-28",)),
    # not the number of a run
    ("award_batches", ("1; DROP TABLE rewards_scorehistory",)),
    ("award_batches", (None,)),
    ("award_batches", ([1, 2],)),
    ("award_batches", ({"pk": 1},)),
    ("award_batches", (1.5,)),
    # no run has this number
    ("award_batches", (-1,)),
    ("award_batches", (999_999,)),
    ("award_batches", (10**30,)),
    # not a task of the product
    ("os.system", ("true",)),
    ("rewards.services.awards.award_daily", ()),
]


def test_forged_messages_write_nothing(stack, workers, tmp_path):
    for task, arguments in FORGED:
        stack.send(task, *arguments)
    wait_until(stack.is_idle, stack.outputs)

    received = sum(worker.output().count("received") for worker in workers)
    assert received >= len(FORGED) - 2, stack.outputs()
    assert not AwardRun.objects.exists()
    assert not AwardBatch.objects.exists()
    assert not ScoreHistory.objects.exists()
    stack.send("award_due")
    wait_until(all_is_awarded, stack.outputs)
    wait_until(stack.is_idle, stack.outputs)
    runs = list(AwardRun.objects.values())
    for run in runs:  # all of them have ended
        stack.send("award_batches", run["id"])
    wait_until(stack.is_idle, stack.outputs)
    assert list(AwardRun.objects.values()) == runs
    assert_awarded_once(tmp_path)
