"""The sample that all these tests award: how to interrupt it, and what must come of it."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rewards.choices import Cadence, RunStatus
from rewards.models import AwardRun
from tests.fault_injection import BARRIER
from tests.processes import another_session, barrier
from tests.test_sample import EXPECTED, exported, in_process

DAYS = 16
WEEKS = 3
"""Days and weeks with activity."""

HELD = "2004-04-28"
"""A Wednesday in the middle, with many hosts."""


@contextmanager
def held_in_the_middle() -> Iterator[Callable[[], None]]:
    """Hold each process that awards certain hosts of HELD. Yields a function that releases it."""
    with another_session() as session:
        session.execute(
            f"""
            CREATE FUNCTION wait_at_barrier() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                PERFORM pg_advisory_xact_lock_shared({BARRIER});
                RETURN NEW;
            END $$;
            CREATE TRIGGER wait_at_barrier BEFORE INSERT ON rewards_scorehistory FOR EACH ROW
            WHEN (NEW.reference_date = '{HELD}' AND NEW.user_id % 50 = 0)
            EXECUTE FUNCTION wait_at_barrier();
            """.encode()
        )
    with barrier() as release:
        yield release


def all_is_awarded() -> bool:
    runs = AwardRun.objects.filter(status=RunStatus.DONE)
    return runs.count() >= DAYS + WEEKS


def assert_awarded_once(folder: Path) -> None:
    """Check the ledger, the invariants, and that each period has exactly one run, which is done."""
    assert exported(folder) == EXPECTED["UTC"].read_bytes()
    in_process("verify_ledger")
    runs = list(AwardRun.objects.values_list("cadence", "reference_date", "status"))
    assert {status for *_, status in runs} == {RunStatus.DONE}, runs
    assert Counter(cadence for cadence, *_ in set(runs)) == {
        Cadence.DAILY: DAYS,
        Cadence.WEEKLY: WEEKS,
    }
    assert len(set(runs)) == len(runs)
