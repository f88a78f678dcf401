"""After days without any run, one call of award_due awards them all, oldest first."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.faults.databases import MONDAY, Database, day
from tests.faults.jobs import set_rules, write_logins


@pytest.mark.parametrize("days", [1, 10, 40])
def test_a_late_award_due_awards_what_runs_in_time_award(days, empty, folder, fault):
    with empty.server.copy(empty) as database:
        fill(database, folder, days)
        for monday in range(0, days, 7):
            sunday = monday + 6
            database.prepare(
                "award_daily", "--from", day(monday), "--to", day(min(sunday, days - 1))
            )
            database.prepare("award_weekly", "--week", day(monday))
        expected = database.state()
        assert expected.ledger

    with empty.server.copy(empty) as database:
        fill(database, folder, days)
        database.prepare("award_due")
        fault("F22", "nothing ran for 1, 10 or 40 days")

        assert (database.violations(), database.state()) == (set(), expected)
        runs = database.query("SELECT cadence, reference_date FROM rewards_awardrun ORDER BY id")
        assert runs == sorted(runs, key=last_day)
        assert len(runs) == days + (days + 6) // 7
        # The next call finds nothing to do.
        database.prepare("award_due")
        assert database.query("SELECT count(*) FROM rewards_awardrun") == [(len(runs),)]


def last_day(run):
    """Return a sort key: the last day that a run evaluates; a week comes after its Sunday."""
    cadence, reference_date = run
    is_week = cadence == "weekly"
    return reference_date + timedelta(days=6 * is_week), is_week


def fill(database: Database, folder: Path, days: int) -> None:
    set_rules(database)
    noon = datetime.combine(MONDAY, datetime.min.time(), UTC) + timedelta(hours=12)
    logins = [
        (f"host-{host}", noon + timedelta(days=offset))
        for host in range(4)
        for offset in range(0, days, host + 1)
    ]
    database.prepare("import_activity", str(write_logins(folder, logins)), "--create-hosts")
