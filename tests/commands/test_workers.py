"""Several processes that work on one run, from the command line."""

from rewards.models import AwardRun, ScoreHistory
from tests.factories import A_MONDAY, DailyActivityFactory, RewardRuleFactory
from tests.processes import manage


def test_local_workers_share_one_run(committed):
    RewardRuleFactory()
    for _ in range(30):
        DailyActivityFactory()

    code, out, err = manage(
        "award_daily", "--date", str(A_MONDAY), "--workers", "3", REWARDS_BATCH_SIZE="1"
    )

    assert (code, "300 points in 30 awards" in out) == (0, True), err
    run = AwardRun.objects.get()
    assert (run.status, run.awards, run.batches.count()) == ("done", 30, 30)
    assert ScoreHistory.objects.count() == 30


def test_enqueuing_without_a_broker_is_one_sentence(committed):
    DailyActivityFactory()

    code, out, err = manage(
        *("award_daily", "--date", str(A_MONDAY), "--enqueue"),
        CELERY_BROKER_URL="redis://127.0.0.1:1/0",
    )

    assert (code, out) == (1, "")
    assert err.startswith("CommandError: The broker cannot be reached")
    assert "Traceback" not in err
