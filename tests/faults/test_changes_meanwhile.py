"""Activity, rules and hosts that change while a job runs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.faults.databases import MONDAY, RECOVERABLE, day
from tests.faults.jobs import AWARD_DAILY, write_logins, write_two_chunks, writes_awards
from tests.faults.pg_proxy import Message, Session


def second_batch(golden) -> int:
    """Return the number of the first message of the second batch."""
    return golden.commits()[1] + 1


AWARDS_OF_ANOTHER_VERSION = """
    SELECT h.id FROM rewards_scorehistory h WHERE h.rule_id <> (
        SELECT id FROM rewards_rewardrule r WHERE r.rule_type = h.rule_type AND r.starts_on <=
            h.reference_date + CASE WHEN h.rule_type LIKE 'WEEKLY%%' THEN 6 ELSE 0 END
        ORDER BY r.starts_on DESC LIMIT 1)
"""
"""Selects awards of another rule version than the one in force on the day evaluated."""


def test_activity_committed_during_a_run_is_paid_by_the_next_run(week, folder, fault):
    activity = str(write_two_chunks(folder))
    with week.server.copy(week) as database:
        database.prepare("import_activity", activity, "--create-hosts")
        database.prepare("award_daily", "--from", day(0), "--to", day(6))
        database.prepare("award_weekly", "--week", day(0))
        expected = database.state()

    with week.server.copy(week) as database:

        def award(session: Session) -> None:
            database.prepare("award_daily", "--from", day(0), "--to", day(6))
            database.prepare("award_weekly", "--week", day(0))

        # The import has written everything; its transaction stays open until both runs have ended.
        with database.proxy(where=commit_of_activity(), action=award) as proxy:
            outcome = database.manage("import_activity", activity, "--create-hosts", via=proxy)
        fault("F28", "activity committed after a run that did not see it", proxy.fired)

        assert outcome.code == 0, outcome
        assert database.violations() <= RECOVERABLE
        assert len(database.state().ledger) < len(expected.ledger)
        database.prepare("award_daily", "--from", day(0), "--to", day(6))
        database.prepare("award_weekly", "--week", day(0))
        assert database.violations() == set()
        # An award made before keeps the value measured then.
        assert [row[:4] for row in database.state().ledger] == [row[:4] for row in expected.ledger]
        assert database.state().scores == expected.scores


def commit_of_activity():
    has_written: list[bool] = []

    def where(message: Message) -> bool:
        if "INTO rewards_activityevent" in message.text:
            has_written.append(True)
        return message.text == "COMMIT" and bool(has_written)

    return where


@pytest.mark.parametrize("days_late", [1, 7, 30, 400])
def test_late_activity_is_paid_for_its_own_day(days_late, week, folder, fault):
    latest = MONDAY + timedelta(days=days_late)
    with week.server.copy(week) as database:
        database.prepare("award_daily", "--from", day(0), "--to", day(6))
        database.prepare("award_daily", "--date", str(latest))
        before = database.state()
        at = datetime.combine(MONDAY, datetime.min.time(), UTC) + timedelta(hours=3)
        # host-6 is active on the Monday only; the newcomer has no score yet.
        late = write_logins(folder, [("host-6", at), ("newcomer", at)])
        database.prepare("import_activity", str(late), "--source", "late", "--create-hosts")
        fault("F27", "activity 1, 7, 30 or 400 days late")

        database.prepare("award_daily", "--date", day(0))

        after = database.state()
        new = [row for row in after.ledger if row not in before.ledger]
        assert [row[:4] for row in new] == [("newcomer", "DAILY_LOGIN", MONDAY, 10)]
        assert [row for row in after.scores if row[0] != "newcomer"] == before.scores
        assert {row[3] for row in after.scores} == {max(latest, MONDAY + timedelta(days=6))}
        assert database.violations() == set()


def test_activity_from_the_future_is_rejected(week, folder, fault):
    soon = datetime.now(UTC) + timedelta(minutes=10)
    with week.server.copy(week) as database:
        before = database.state()
        outcome = database.manage(
            "import_activity", str(write_logins(folder, [("host-1", soon)])), "--source", "x"
        )
        fault("F27", "activity from the future")

        assert outcome.code == 4
        assert database.state() == before


@pytest.mark.parametrize("change", ["--points 77", "--points 10 --inactive", "--points 10"])
def test_a_run_pays_one_version_of_a_rule_that_is_edited(change, golden_of, fault):
    golden = golden_of(AWARD_DAILY)
    edits = []
    with golden.before.server.copy(golden.before) as database:

        def edit(session: Session) -> None:
            """Between two batches: from today on, and from the day that is being evaluated."""
            for more in ([], ["--starts-on", day(6)]):
                edits.append(
                    database.manage(
                        "set_rule", "DAILY_LOGIN", "--threshold", "2", *change.split(), *more
                    ).code
                )

        with database.proxy(
            where=lambda message: message.number == second_batch(golden), action=edit
        ) as proxy:
            outcome = database.manage(*golden.argv, via=proxy, **AWARD_DAILY.settings)
        fault("F29", "rule edited or paused in a run", proxy.fired)

        assert (outcome.code, edits) == (0, [0, 2]), outcome
        assert replace(database.state(), rules=golden.state.rules) == golden.state
        database.prepare(*golden.argv, **AWARD_DAILY.settings)
        assert database.violations() == set()
        assert replace(database.state(), rules=golden.state.rules) == golden.state
        assert database.query(AWARDS_OF_ANOTHER_VERSION) == []


def test_a_host_deactivated_during_a_run_is_paid_until_that_day(golden_of, fault):
    golden = golden_of(AWARD_DAILY)
    with golden.before.server.copy(golden.before) as database:

        def leave(session: Session) -> None:
            database.execute("UPDATE rewards_user SET left_on = %s", day(6))
            database.execute("UPDATE rewards_user SET is_active = false")

        with database.proxy(where=writes_awards, action=leave) as proxy:
            outcome = database.manage(*golden.argv, via=proxy, **AWARD_DAILY.settings)
        fault("F30", "hosts deactivated in a run", proxy.fired)

        assert outcome.code == 0, outcome
        state = database.state()
        assert state.hosts != golden.state.hosts
        assert (database.violations(), state) == (set(), replace(golden.state, hosts=state.hosts))


def test_a_host_that_cannot_be_paid_does_not_block_the_others(golden_of, fault):
    golden = golden_of(AWARD_DAILY)
    with golden.before.server.copy(golden.before) as database:
        database.execute(
            "UPDATE rewards_score SET lifetime = 9223372036854775807 WHERE user_id ="
            " (SELECT id FROM rewards_user WHERE external_id = 'host-0')"
        )

        for _ in range(2):
            outcome = database.manage(
                *golden.argv, **AWARD_DAILY.settings | {"REWARDS_BATCH_SIZE": 1}
            )
            assert outcome.code == 4, outcome
            assert "out of range" in outcome.err
        fault("F31", "a score at the maximum of its type", 2)

        missing = set(golden.state.ledger) - set(database.state().ledger)
        assert {row[0] for row in missing} == {"host-0"}
        database.prepare("verify_ledger", "--repair-scores")
        database.prepare(*golden.argv, **AWARD_DAILY.settings)
        assert (database.violations(), database.state()) == (set(), golden.state)


def test_ten_thousand_logins_of_one_host_are_one_award(week, folder, fault):
    noon = datetime.combine(MONDAY, datetime.min.time(), UTC)
    logins = [("busy", noon + timedelta(seconds=second)) for second in range(10_000)]
    with week.server.copy(week) as database:
        activity = str(write_logins(folder, logins))
        database.prepare("import_activity", activity, "--source", "x", "--create-hosts")
        database.prepare("award_daily", "--date", day(0))
        fault("F31", "ten thousand events of one host")

        awards = [row for row in database.state().ledger if row[0] == "busy"]
        assert awards == [("busy", "DAILY_LOGIN", MONDAY, 10, 10_000, 1)]
        assert database.violations() == set()


def test_a_rule_edited_before_the_first_award_is_refused_or_paid(golden_of, fault):
    golden = golden_of(AWARD_DAILY)
    with golden.before.server.copy(golden.before) as database:

        def edit(session: Session) -> None:
            """The ledger has no award of the day yet that would refuse the change."""
            database.manage(
                "set_rule", "DAILY_LOGIN", "--threshold", "1", "--points", "77",
                "--starts-on", day(6),
            )  # fmt: skip

        with database.proxy(where=writes_awards, action=edit) as proxy:
            outcome = database.manage(*golden.argv, via=proxy, **AWARD_DAILY.settings)
        fault("F29", "rule edited before the first award of a run", proxy.fired)

        assert outcome.code == 0, outcome
        database.prepare(*golden.argv, **AWARD_DAILY.settings)
        assert database.violations() == set()
        assert database.query(AWARDS_OF_ANOTHER_VERSION) == []


def test_a_host_deleted_during_a_run_fails_no_other_award(golden_of, fault):
    golden = golden_of(AWARD_DAILY)
    with golden.before.server.copy(golden.before) as database:
        # A host with activity on the day but no award, in one batch with others.
        activity = write_logins(
            database.server.folder, [("brief", datetime.fromisoformat(f"{day(6)}T12:00+00:00"))]
        )
        database.prepare("import_activity", str(activity), "--source", "x", "--create-hosts")

        def delete(session: Session) -> None:
            database.execute(
                "WITH e AS (DELETE FROM rewards_activityevent WHERE source = 'x'),"
                " d AS (DELETE FROM rewards_dailyactivity d USING rewards_user u"
                " WHERE u.id = d.user_id AND u.external_id = 'brief')"
                " DELETE FROM rewards_user WHERE external_id = 'brief'"
            )

        with database.proxy(where=writes_awards, action=delete) as proxy:
            outcome = database.manage(*golden.argv, via=proxy)
        fault("F30", "host deleted in a run", proxy.fired)

        assert outcome.code == 0, outcome
        assert (database.violations(), database.state()) == (set(), golden.state)


def test_a_host_deleted_during_an_import_fails_only_its_own_rows(week, folder, fault):
    noon = datetime.combine(MONDAY, datetime.min.time(), UTC) + timedelta(hours=12)
    with week.server.copy(week) as database:
        passing = str(write_logins(folder, [("brief", noon)]))
        database.prepare("import_activity", passing, "--source", "x", "--create-hosts")
        database.execute("DELETE FROM rewards_activityevent WHERE source = 'x'")
        database.execute(
            "DELETE FROM rewards_dailyactivity WHERE user_id ="
            " (SELECT id FROM rewards_user WHERE external_id = 'brief')"
        )
        before = database.state()

        with database.connect() as admin:
            admin.execute("BEGIN")
            admin.execute("DELETE FROM rewards_user WHERE external_id = 'brief'")
            rows = str(write_logins(folder, [("brief", noon), ("host-1", noon)]))
            process = database.start("import_activity", rows, "--source", "y")
            database.wait_until(lambda: database.waiting() == 1)
            admin.execute("COMMIT")
        outcome = process.wait()
        fault("F30", "host deleted in an import")

        assert outcome.code == 4, outcome
        assert "1 of 2 rows stored, 1 rejected" in outcome.out
        new = [row[:3] for row in database.state().events if row not in before.events]
        assert new == [("y", "2", "host-1")]
        assert database.violations() == set()
