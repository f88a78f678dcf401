"""What others change while a job is at work: activity, rules, hosts."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.faults.databases import AFTER_RECOVERY, MONDAY, day
from tests.faults.jobs import AWARD_DAILY, write_activity, write_two_chunks, writes_awards
from tests.faults.pg_proxy import Message, Session


def second_batch(golden) -> int:
    """Return the number of the message with which the second batch is begun."""
    commits = [message.number for message in golden.messages if message.text == "COMMIT"]
    return commits[1] + 1


AGREES_WITH_RULES = """
    SELECT h.id FROM rewards_scorehistory h WHERE h.rule_id <> (
        SELECT id FROM rewards_rewardrule r WHERE r.rule_type = h.rule_type AND r.starts_on <=
            h.reference_date + CASE WHEN h.rule_type LIKE 'WEEKLY%%' THEN 6 ELSE 0 END
        ORDER BY r.starts_on DESC LIMIT 1)
"""
"""Awards of another version than the one in force on the day evaluated."""


def test_activity_committed_after_the_run_began_is_paid_by_the_next(week, folder, fault):
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

        # The transaction of the import has written all it will, and is open throughout.
        with database.interposer(where=commit_of_activity(), strike=award) as interposer:
            outcome = database.manage("import_activity", activity, "--create-hosts", via=interposer)
        fault("F28", "activity committed after a run that could not see it", interposer.fired)

        assert outcome.code == 0, outcome
        assert database.broken() <= AFTER_RECOVERY
        assert len(database.state().ledger) < len(expected.ledger)
        database.prepare("award_daily", "--from", day(0), "--to", day(6))
        database.prepare("award_weekly", "--week", day(0))
        assert database.broken() == set()
        # An award made before keeps what was measured then.
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
def test_late_activity_is_paid_for_its_own_day_and_moves_no_score_back(
    days_late, week, folder, fault
):
    latest = MONDAY + timedelta(days=days_late)
    with week.server.copy(week) as database:
        database.prepare("award_daily", "--from", day(0), "--to", day(6))
        database.prepare("award_daily", "--date", str(latest))
        before = database.state()
        at = datetime.combine(MONDAY, datetime.min.time(), UTC) + timedelta(hours=3)
        # host-6 was there on the Monday only; a newcomer has no score yet.
        late = write_activity(folder, [("host-6", at), ("newcomer", at)])
        database.prepare("import_activity", str(late), "--source", "late", "--create-hosts")
        fault("F27", "activity 1, 7, 30 or 400 days late")

        database.prepare("award_daily", "--date", day(0))

        after = database.state()
        new = [row for row in after.ledger if row not in before.ledger]
        assert [row[:4] for row in new] == [("newcomer", "DAILY_LOGIN", MONDAY, 10)]
        assert [row for row in after.scores if row[0] != "newcomer"] == before.scores
        assert {row[3] for row in after.scores} == {max(latest, MONDAY + timedelta(days=6))}
        assert database.broken() == set()


def test_activity_from_the_future_is_turned_away(week, folder, fault):
    soon = datetime.now(UTC) + timedelta(minutes=10)
    with week.server.copy(week) as database:
        before = database.state()
        outcome = database.manage(
            "import_activity", str(write_activity(folder, [("host-1", soon)])), "--source", "x"
        )
        fault("F27", "activity from the future")

        assert outcome.code == 4
        assert database.state() == before


@pytest.mark.parametrize("change", ["--points 77", "--points 10 --inactive", "--points 10"])
def test_a_run_pays_one_version_of_a_rule_whatever_is_edited_meanwhile(change, golden_of, fault):
    golden = golden_of(AWARD_DAILY)
    edits = []
    with golden.before.server.copy(golden.before) as database:

        def edit(session: Session) -> None:
            """Between two batches, from today, and on the very day that is being evaluated."""
            for more in ([], ["--starts-on", day(6)]):
                edits.append(
                    database.manage(
                        "set_rule", "DAILY_LOGIN", "--threshold", "2", *change.split(), *more
                    ).code
                )

        with database.interposer(
            where=lambda message: message.number == second_batch(golden), strike=edit
        ) as interposer:
            outcome = database.manage(*golden.argv, via=interposer, **AWARD_DAILY.settings)
        fault("F29", "rule edited or paused in a run", interposer.fired)

        assert (outcome.code, edits) == (0, [0, 2]), outcome
        assert database.state() == golden.state
        database.prepare(*golden.argv, **AWARD_DAILY.settings)
        assert (database.broken(), database.state()) == (set(), golden.state)
        assert database.query(AGREES_WITH_RULES) == []


def test_a_host_who_leaves_in_a_run_keeps_what_was_earned_until_then(golden_of, fault):
    golden = golden_of(AWARD_DAILY)
    with golden.before.server.copy(golden.before) as database:

        def leave(session: Session) -> None:
            database.execute("UPDATE rewards_user SET left_on = %s", day(6))
            database.execute("UPDATE rewards_user SET is_active = false")

        with database.interposer(where=writes_awards, strike=leave) as interposer:
            outcome = database.manage(*golden.argv, via=interposer, **AWARD_DAILY.settings)
        fault("F30", "hosts deactivated in a run", interposer.fired)

        assert outcome.code == 0, outcome
        assert (database.broken(), database.state()) == (set(), golden.state)


def test_a_poisoned_host_is_reported_each_time_and_keeps_nobody_else_waiting(golden_of, fault):
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
        fault("F31", "a score that can grow no more", 2)

        missing = set(golden.state.ledger) - set(database.state().ledger)
        assert {row[0] for row in missing} == {"host-0"}
        database.prepare("verify_ledger", "--repair-scores")
        database.prepare(*golden.argv, **AWARD_DAILY.settings)
        assert (database.broken(), database.state()) == (set(), golden.state)


def test_ten_thousand_logins_of_one_host_are_one_award(week, folder, fault):
    noon = datetime.combine(MONDAY, datetime.min.time(), UTC)
    logins = [("busy", noon + timedelta(seconds=second)) for second in range(10_000)]
    with week.server.copy(week) as database:
        activity = str(write_activity(folder, logins))
        database.prepare("import_activity", activity, "--source", "x", "--create-hosts")
        database.prepare("award_daily", "--date", day(0))
        fault("F31", "ten thousand events of one host")

        awards = [row for row in database.state().ledger if row[0] == "busy"]
        assert awards == [("busy", "DAILY_LOGIN", MONDAY, 10, 10_000, 1)]
        assert database.broken() == set()


def test_a_rule_edited_before_the_first_award_is_either_refused_or_paid(golden_of, fault):
    golden = golden_of(AWARD_DAILY)
    with golden.before.server.copy(golden.before) as database:

        def edit(session: Session) -> None:
            """Nothing is awarded yet of the day, so nothing in the ledger stands against it."""
            database.manage(
                "set_rule", "DAILY_LOGIN", "--threshold", "1", "--points", "77",
                "--starts-on", day(6),
            )  # fmt: skip

        with database.interposer(where=writes_awards, strike=edit) as interposer:
            outcome = database.manage(*golden.argv, via=interposer, **AWARD_DAILY.settings)
        fault("F29", "rule edited before the first award of a run", interposer.fired)

        assert outcome.code == 0, outcome
        database.prepare(*golden.argv, **AWARD_DAILY.settings)
        assert database.broken() == set()
        assert database.query(AGREES_WITH_RULES) == []


def test_a_host_who_is_deleted_in_a_run_fails_nobody_elses_award(golden_of, fault):
    golden = golden_of(AWARD_DAILY)
    with golden.before.server.copy(golden.before) as database:
        # Someone new and active on the day, in one batch with others, and without any award.
        activity = write_activity(
            database.server.folder, [("passer-by", datetime.fromisoformat(f"{day(6)}T12:00+00:00"))]
        )
        database.prepare("import_activity", str(activity), "--source", "x", "--create-hosts")

        def delete(session: Session) -> None:
            database.execute(
                "WITH e AS (DELETE FROM rewards_activityevent WHERE source = 'x'),"
                " d AS (DELETE FROM rewards_dailyactivity d USING rewards_user u"
                " WHERE u.id = d.user_id AND u.external_id = 'passer-by')"
                " DELETE FROM rewards_user WHERE external_id = 'passer-by'"
            )

        with database.interposer(where=writes_awards, strike=delete) as interposer:
            outcome = database.manage(*golden.argv, via=interposer)
        fault("F30", "host deleted in a run", interposer.fired)

        assert outcome.code == 0, outcome
        assert (database.broken(), database.state()) == (set(), golden.state)


def test_a_host_who_is_deleted_in_an_import_turns_away_only_the_own_rows(week, folder, fault):
    noon = datetime.combine(MONDAY, datetime.min.time(), UTC) + timedelta(hours=12)
    with week.server.copy(week) as database:
        passing = str(write_activity(folder, [("passer-by", noon)]))
        database.prepare("import_activity", passing, "--source", "x", "--create-hosts")
        database.execute("DELETE FROM rewards_activityevent WHERE source = 'x'")
        database.execute(
            "DELETE FROM rewards_dailyactivity WHERE user_id ="
            " (SELECT id FROM rewards_user WHERE external_id = 'passer-by')"
        )
        before = database.state()

        with database.connect() as admin:
            admin.execute("BEGIN")
            admin.execute("DELETE FROM rewards_user WHERE external_id = 'passer-by'")
            rows = str(write_activity(folder, [("passer-by", noon), ("host-1", noon)]))
            process = database.start("import_activity", rows, "--source", "y")
            database.wait_until(lambda: database.waiting() == 1)
            admin.execute("COMMIT")
        outcome = process.wait()
        fault("F30", "host deleted in an import")

        assert outcome.code == 4, outcome
        assert "1 of 2 rows stored, 1 rejected" in outcome.out
        new = [row[:3] for row in database.state().events if row not in before.events]
        assert new == [("y", "2", "host-1")]
        assert database.broken() == set()
