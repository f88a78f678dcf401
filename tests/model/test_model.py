"""The engine against its reference: random histories, and histories with the same outcome.

`HYPOTHESIS_PROFILE=nightly pytest tests/model/test_model.py` searches longer, with new seeds.
"""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import hypothesis
import pytest
from hypothesis import event, given, target
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from rewards.exceptions import BadPeriod
from rewards.models import Score
from rewards.services import scores
from tests.model import driver as engine
from tests.model.reference import DAY, KIND_OF, WEEKLY, Event, Reference, Version

pytestmark = [pytest.mark.faults, pytest.mark.smoke]

FIRST = date(2024, 9, 2)
"""A Monday; all activity is of the eight days from here."""
DAYS = [FIRST + n * DAY for n in range(8)]
MONDAYS = [FIRST, FIRST + 7 * DAY]
HOSTS = ["ana", "bo", "cy"]
UTC_ZONE = ZoneInfo("UTC")

days = st.sampled_from(DAYS)
hosts = st.sampled_from(HOSTS)
versions = st.builds(
    Version, threshold=st.integers(1, 3), points=st.integers(1, 50), is_active=st.booleans()
)
# Few ids, so that ids repeat with the same or other content; and the first and last instant of
# days.
events = st.builds(
    lambda number, host, kind, day, instant, seconds: Event(
        id=f"event-{number}",
        host=host,
        kind=kind,
        at=engine.at(day, 0) + instant,
        seconds=0 if kind == "login" else seconds,
    ),
    number=st.integers(1, 60),
    host=hosts,
    kind=st.sampled_from(sorted(KIND_OF.values())),
    day=days,
    instant=st.sampled_from(
        [timedelta(0), timedelta(hours=9), timedelta(hours=24) - timedelta(microseconds=1)]
    ),
    seconds=st.sampled_from([0, 1, 60]),
)
files = st.lists(events, min_size=1, max_size=12)


@pytest.fixture
def database(committed, settings):
    settings.REWARDS_GRACE_DAYS = 90
    settings.REWARDS_BATCH_SIZE = 2


# --- Random histories -------------------------------------------------------------------------


class Histories(RuleBasedStateMachine):
    """After any actions in any order, the database agrees with the reference."""

    folder = None

    @initialize(rules=st.dictionaries(st.sampled_from([*KIND_OF, WEEKLY]), versions))
    def begin(self, rules):
        engine.wipe()
        self.now = engine.at(FIRST + 8 * DAY, 0)
        self.reference = Reference(zone=UTC_ZONE)
        self.last = None
        for host in HOSTS[:2]:
            self.create_host(host)
        for rule_type, version in rules.items():
            self.write_rule(rule_type, FIRST - DAY, version)

    @rule(host=hosts)
    def create_host(self, host):
        self.reference.add_host(host)
        engine.add_host(host)

    @rule(host=hosts, day=days)
    def leave(self, host, day):
        if self.reference.left_on.get(host, day) is None:
            self.reference.leave(host, day)
            engine.leave(host, day)

    @rule(rule_type=st.sampled_from([*KIND_OF, WEEKLY]), starts_on=days, version=versions)
    def write_rule(self, rule_type, starts_on, version):
        today = self.now.date()
        accepts = self.reference.accepts_rule(rule_type, starts_on, version, today)

        assert engine.set_rule(rule_type, starts_on, version, today) == accepts

        event(f"rule {'written' if accepts else 'refused'}")
        if accepts:
            self.reference.set_rule(rule_type, starts_on, version)

    @rule(file=files, suffix=st.sampled_from(["csv", "jsonl"]))
    def ingest(self, file, suffix):
        expected = self.reference.ingest(file, self.now)

        assert engine.ingest(file, self.now, self.folder / f"activity.{suffix}") == expected

        for outcome, rows in expected.items():
            if rows:
                event(f"ingest {outcome}")

    @rule(file=files, day=days, is_of_the_day=st.booleans(), is_live=st.booleans())
    def send(self, file, day, is_of_the_day, is_live):
        """A request that was made late on `day`, perhaps by a process whose clock is behind."""
        now = engine.at(day + DAY, 0) - timedelta(minutes=1)
        if is_of_the_day:
            file = [event._replace(at=now.replace(hour=9)) for event in file]
        expected = self.reference.send(file, now, is_live=is_live)

        assert engine.send(file, now, is_live=is_live) == expected

        event(f"{'live' if is_live else 'not live'}, {'paid' if expected[1] else 'unpaid'}")

    @rule()
    def restart(self):
        engine.restart()

    @rule(period=st.sampled_from([(day, False) for day in DAYS] + [(day, True) for day in MONDAYS]))
    def award(self, period):
        day, is_week = period
        last = day + 6 * DAY if is_week else day
        if last >= self.now.date():
            with pytest.raises(BadPeriod):
                engine.award(day, self.now, is_week=is_week)
            event("award refused")
            return

        engine.award(day, self.now, is_week=is_week)

        self.reference.award(day, is_week=is_week)
        self.last = period
        event("week awarded" if is_week else "day awarded")

    @precondition(lambda self: self.last)
    @rule()
    def award_again(self):
        before = dict(self.reference.ledger)
        self.award(self.last)
        event("awarded again" if before == self.reference.ledger else "late activity awarded")

    @rule()
    def award_due(self):
        for day, is_week in engine.award_due(self.now):
            self.reference.award(day, is_week=is_week)
        self.reference.end_live_runs(self.now.date())
        event("due periods awarded")

    @rule(day=st.sampled_from(DAYS), statement=st.integers(1, 30))
    def crash_and_run_again(self, day, statement):
        if day >= self.now.date():
            return
        before = dict(self.reference.ledger)
        with engine.crash_at(statement) as has_crashed:
            engine.award(day, self.now)
        event("crashed" if has_crashed() else "ended before the crash")
        self.reference.award(day)

        assert before.items() <= engine.ledger().items() <= self.reference.ledger.items()
        assert engine.broken(self.now) <= {"I12"}

        engine.award(day, self.now)

    @rule(ahead=st.sampled_from([timedelta(hours=1), DAY, 3 * DAY]))
    def advance(self, ahead):
        self.now = min(self.now + ahead, engine.at(FIRST + 20 * DAY))

    @rule()
    def repair(self):
        assert scores.repair_scores().scores == 0

    @invariant()
    def the_database_agrees_with_the_reference(self):
        assert engine.ledger() == self.reference.ledger
        assert engine.scores() == self.reference.scores()

    @invariant()
    def the_invariants_hold(self):
        # Days awarded out of order leave gaps until award_due.
        assert engine.broken(self.now) <= {"I12"}

    def teardown(self):
        if not hasattr(self, "reference"):
            return
        self.now = engine.at(FIRST + 21 * DAY)
        self.award_due()
        assert engine.award_due(self.now) == []
        assert engine.broken(self.now) == set()
        for period in [(day, False) for day in DAYS] + [(day, True) for day in MONDAYS]:
            self.award(period)
            day, is_week = period
            due = self.reference.due(day, is_week=is_week)
            assert due.keys() <= engine.ledger().keys(), "an award is missing"
        self.the_database_agrees_with_the_reference()
        assert engine.broken(self.now) == set()
        target(float(len(self.reference.ledger)), label="awards")


def test_random_histories_agree_with_the_reference(database, tmp_path):
    Histories.folder = tmp_path

    profile = hypothesis.settings()
    run_state_machine_as_test(
        Histories, settings=hypothesis.settings(profile, max_examples=3 * profile.max_examples)
    )


# --- Histories with the same outcome ----------------------------------------------------------

RULES = {
    "DAILY_LOGIN": Version(1, 10, True),
    "DAILY_AUDIO_CALL_TARGET": Version(2, 25, True),
    WEEKLY: Version(3, 100, True),
}
AFTER = engine.at(FIRST + 21 * DAY)


def begin():
    engine.wipe()
    for host in HOSTS:
        engine.add_host(host)
    for rule_type, version in RULES.items():
        engine.set_rule(rule_type, FIRST - DAY, version, FIRST - DAY)


def play(files, folder, *, awards=None, suffix="csv"):
    """Import the files into an empty database and award; return the ledger and the scores."""
    begin()
    for number, file in enumerate(files):
        engine.ingest(file, AFTER, folder / f"{number}.{suffix}")
    for day, is_week in awards or all_periods():
        engine.award(day, AFTER, is_week=is_week)
    return engine.ledger(), engine.scores()


def play_requests(requests, *, is_live):
    """As play(), but with requests, each at the time of its last event."""
    begin()
    for number, request in enumerate(requests):
        now = max(event.at for event in request)
        engine.send(request, now, is_live=is_live(number))
    for day, is_week in all_periods():
        engine.award(day, AFTER, is_week=is_week)
    return engine.ledger(), engine.scores()


def all_periods():
    return [(day, False) for day in DAYS] + [(day, True) for day in MONDAYS]


def unique(file):
    """Return the events with unique ids, so that their order does not matter."""
    return [event._replace(id=f"event-{number}") for number, event in enumerate(file)]


activity = st.lists(events, min_size=1, max_size=30).map(unique)


def test_one_file_agrees_with_the_reference(database, tmp_path):
    @given(activity)
    def agree(file):
        reference = Reference(zone=UTC_ZONE, left_on=dict.fromkeys(HOSTS), rules={})
        for rule_type, version in RULES.items():
            reference.set_rule(rule_type, FIRST - DAY, version)
        reference.ingest(file, AFTER)
        for day, is_week in all_periods():
            reference.award(day, is_week=is_week)

        assert play([file], tmp_path) == (reference.ledger, reference.scores())

    agree()


def test_the_order_and_the_division_of_events_do_not_matter(database, tmp_path):
    @given(activity, st.randoms(use_true_random=False), st.integers(1, 5))
    def same(file, random, pieces):
        shuffled = random.sample(file, len(file))

        parts = [shuffled[n::pieces] for n in range(pieces)]

        assert play(filter(None, parts), tmp_path) == play([file], tmp_path)

    same()


def test_the_order_and_the_repetition_of_runs_do_not_matter(database, tmp_path):
    @given(activity, st.permutations(all_periods()), st.lists(st.sampled_from(all_periods())))
    def same(file, order, again):
        assert play([file], tmp_path, awards=[*order, *again]) == play([file], tmp_path)

    same()


def test_csv_and_json_lines_have_the_same_outcome(database, tmp_path):
    @given(activity)
    def same(file):
        assert play([file], tmp_path, suffix="jsonl") == play([file], tmp_path)

    same()


def by_day(file):
    """Divide a file into what was sent on each day, in order."""
    return [
        [event for event in file if event.at.date() == day]
        for day in sorted({event.at.date() for event in file})
    ]


def test_live_awards_change_nothing(database, tmp_path):
    @given(activity, st.lists(st.booleans(), min_size=30, max_size=30))
    def same(file, are_live):
        without = play_requests(by_day(file), is_live=lambda number: False)

        assert play_requests(by_day(file), is_live=lambda number: True) == without
        assert (
            play_requests([[e] for e in file], is_live=lambda number: are_live[number]) == without
        )

    same()


def test_requests_of_any_size_and_files_have_the_same_outcome(database, tmp_path):
    @given(activity, st.integers(2, 8), st.sampled_from(["csv", "jsonl"]))
    def same(file, size, suffix):
        pieces = [file[start : start + size] for start in range(0, len(file), size)]

        imported = play([file], tmp_path, suffix=suffix)

        assert play_requests([[e] for e in file], is_live=lambda number: True) == imported
        assert play_requests(pieces, is_live=lambda number: True) == imported

    same()


def test_the_batch_size_does_not_matter(database, tmp_path, settings):
    @given(activity, st.integers(1, 5))
    def same(file, size):
        settings.REWARDS_BATCH_SIZE = 20_000
        whole = play([file], tmp_path)
        settings.REWARDS_BATCH_SIZE = size

        assert play([file], tmp_path) == whole

    same()


def test_late_runs_award_the_same_as_runs_on_time(database, tmp_path):
    @given(activity)
    def same(file):
        at_once = play([file], tmp_path)

        play([file], tmp_path, awards=[all_periods()[0]])
        engine.award_due(AFTER)
        for day, is_week in all_periods():
            engine.award(day, AFTER, is_week=is_week)  # a week without activity is never due

        assert (engine.ledger(), engine.scores()) == at_once

    same()


def test_a_time_zone_shifted_with_all_instants_does_not_matter(database, tmp_path, settings):
    @given(activity, st.sampled_from([-11, -5, 3, 9]))
    def same(file, hours):
        settings.REWARDS_TIME_ZONE = "UTC"
        here = play([file], tmp_path)
        settings.REWARDS_TIME_ZONE = f"Etc/GMT{-hours:+d}"  # POSIX: west is positive
        moved = [event._replace(at=event.at - timedelta(hours=hours)) for event in file]

        assert play([moved], tmp_path) == here

    same()


def test_rebuilt_scores_are_the_same(database, tmp_path):
    @given(activity)
    def same(file):
        _, kept = play([file], tmp_path)
        Score.objects.all().delete()
        scores.repair_scores()

        assert engine.scores() == kept

    same()
