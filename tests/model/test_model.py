"""The engine against its reference: random histories, and histories with the same outcome.

`HYPOTHESIS_PROFILE=nightly pytest tests/model/test_model.py` tries many more, others each time.
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
from tests.model.reference import DAY, KIND_OF, WEEKLY, Event, Reference, Terms

pytestmark = [pytest.mark.faults, pytest.mark.smoke]

FIRST = date(2024, 9, 2)
"""A Monday; all activity is of the eight days from here."""
DAYS = [FIRST + n * DAY for n in range(8)]
MONDAYS = [FIRST, FIRST + 7 * DAY]
HOSTS = ["ana", "bo", "cy"]
UTC_ZONE = ZoneInfo("UTC")

days = st.sampled_from(DAYS)
hosts = st.sampled_from(HOSTS)
terms = st.builds(
    Terms, threshold=st.integers(1, 3), points=st.integers(1, 50), is_active=st.booleans()
)
# Few ids, so that the same id comes again, with the same content or with another; the instants
# around midnight, where the days part.
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
batches = st.lists(events, min_size=1, max_size=12)


@pytest.fixture
def world(committed, settings):
    settings.REWARDS_GRACE_DAYS = 90
    settings.REWARDS_BATCH_SIZE = 2


# --- Random histories -------------------------------------------------------------------------


class Histories(RuleBasedStateMachine):
    """Whatever happens in whatever order, the database says what the reference says."""

    folder = None

    @initialize(rules=st.dictionaries(st.sampled_from([*KIND_OF, WEEKLY]), terms))
    def begin(self, rules):
        engine.wipe()
        self.now = engine.at(FIRST + 8 * DAY, 0)
        self.reference = Reference(zone=UTC_ZONE)
        self.last = None
        for host in HOSTS[:2]:
            self.create_host(host)
        for rule_type, its_terms in rules.items():
            self.write_rule(rule_type, FIRST - DAY, its_terms)

    @rule(host=hosts)
    def create_host(self, host):
        self.reference.add_host(host)
        engine.add_host(host)

    @rule(host=hosts, day=days)
    def leave(self, host, day):
        if self.reference.left_on.get(host, day) is None:
            self.reference.leave(host, day)
            engine.leave(host, day)

    @rule(rule_type=st.sampled_from([*KIND_OF, WEEKLY]), starts_on=days, its_terms=terms)
    def write_rule(self, rule_type, starts_on, its_terms):
        today = self.now.date()
        accepts = self.reference.accepts_rule(rule_type, starts_on, its_terms, today)

        assert engine.set_rule(rule_type, starts_on, its_terms, today) == accepts

        event(f"rule {'written' if accepts else 'refused'}")
        if accepts:
            self.reference.set_rule(rule_type, starts_on, its_terms)

    @rule(batch=batches, form=st.sampled_from(["csv", "jsonl"]))
    def ingest(self, batch, form):
        expected = self.reference.ingest(batch, self.now)

        assert engine.ingest(batch, self.now, self.folder / f"activity.{form}") == expected

        for outcome, lines in expected.items():
            if lines:
                event(f"ingest {outcome}")

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
        event("awarded again" if before == self.reference.ledger else "awarded what came late")

    @rule()
    def catch_up(self):
        for day, is_week in engine.award_due(self.now):
            self.reference.award(day, is_week=is_week)
        event("caught up")

    @rule(day=st.sampled_from(DAYS[:8]), statement=st.integers(1, 30))
    def crash_and_run_again(self, day, statement):
        if day >= self.now.date():
            return
        before = self.reference.ledger
        with engine.crash_at(statement) as has_crashed:
            engine.award(day, self.now)
        event("crashed" if has_crashed() else "ended before its crash")
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
    def the_database_says_what_the_reference_says(self):
        assert engine.ledger() == self.reference.ledger
        assert engine.scores() == self.reference.scores()

    @invariant()
    def what_must_always_hold_does(self):
        # Whoever awards days out of order has gaps between them until the next catching up.
        assert engine.broken(self.now) <= {"I12"}

    def teardown(self):
        if not hasattr(self, "reference"):
            return
        self.now = engine.at(FIRST + 21 * DAY)
        self.catch_up()
        assert engine.award_due(self.now) == []
        assert engine.broken(self.now) == set()
        for period in [(day, False) for day in DAYS] + [(day, True) for day in MONDAYS]:
            self.award(period)
            day, is_week = period
            due = self.reference.due(day, is_week=is_week)
            assert due.keys() <= engine.ledger().keys(), "someone was missed"
        self.the_database_says_what_the_reference_says()
        assert engine.broken(self.now) == set()
        target(float(len(self.reference.ledger)), label="awards")


def test_any_history_gives_what_the_reference_says(world, tmp_path):
    Histories.folder = tmp_path

    each = hypothesis.settings()
    run_state_machine_as_test(
        Histories, settings=hypothesis.settings(each, max_examples=3 * each.max_examples)
    )


# --- Histories that must come to the same -----------------------------------------------------

RULES = {
    "DAILY_LOGIN": Terms(1, 10, True),
    "DAILY_AUDIO_CALL_TARGET": Terms(2, 25, True),
    WEEKLY: Terms(3, 100, True),
}
AFTER = engine.at(FIRST + 21 * DAY)


def play(files, folder, *, awards=None, suffix="csv"):
    """Begin from nothing, import the files, award, and return the ledger and the scores."""
    engine.wipe()
    for host in HOSTS:
        engine.add_host(host)
    for rule_type, its_terms in RULES.items():
        engine.set_rule(rule_type, FIRST - DAY, its_terms, FIRST - DAY)
    for number, file in enumerate(files):
        engine.ingest(file, AFTER, folder / f"{number}.{suffix}")
    for day, is_week in awards or everything():
        engine.award(day, AFTER, is_week=is_week)
    return engine.ledger(), engine.scores()


def everything():
    return [(day, False) for day in DAYS] + [(day, True) for day in MONDAYS]


def unique(batch):
    """Return events of a batch that have ids of their own, so that their order says nothing."""
    return [each._replace(id=f"event-{number}") for number, each in enumerate(batch)]


activity = st.lists(events, min_size=1, max_size=30).map(unique)


def test_the_reference_and_the_engine_agree_on_whole_files(world, tmp_path):
    @given(activity)
    def agree(file):
        reference = Reference(zone=UTC_ZONE, left_on=dict.fromkeys(HOSTS), rules={})
        for rule_type, its_terms in RULES.items():
            reference.set_rule(rule_type, FIRST - DAY, its_terms)
        reference.ingest(file, AFTER)
        for day, is_week in everything():
            reference.award(day, is_week=is_week)

        assert play([file], tmp_path) == (reference.ledger, reference.scores())

    agree()


def test_neither_the_order_of_events_nor_the_pieces_of_a_file_matter(world, tmp_path):
    @given(activity, st.randoms(use_true_random=False), st.integers(1, 5))
    def same(file, random, pieces):
        shuffled = random.sample(file, len(file))

        parts = [shuffled[n::pieces] for n in range(pieces)]

        assert play(filter(None, parts), tmp_path) == play([file], tmp_path)

    same()


def test_neither_the_order_of_awards_nor_their_repetition_matters(world, tmp_path):
    @given(activity, st.permutations(everything()), st.lists(st.sampled_from(everything())))
    def same(file, order, again):
        assert play([file], tmp_path, awards=[*order, *again]) == play([file], tmp_path)

    same()


def test_csv_and_json_lines_of_the_same_events_are_the_same(world, tmp_path):
    @given(activity)
    def same(file):
        assert play([file], tmp_path, suffix="jsonl") == play([file], tmp_path)

    same()


def test_batches_of_any_size_come_to_the_same(world, tmp_path, settings):
    @given(activity, st.integers(1, 5))
    def same(file, size):
        settings.REWARDS_BATCH_SIZE = 20_000
        whole = play([file], tmp_path)
        settings.REWARDS_BATCH_SIZE = size

        assert play([file], tmp_path) == whole

    same()


def test_what_is_awarded_on_time_is_what_catching_up_awards(world, tmp_path):
    @given(activity)
    def same(file):
        at_once = play([file], tmp_path)

        play([file], tmp_path, awards=[everything()[0]])
        engine.award_due(AFTER)
        for day, is_week in everything():
            engine.award(day, AFTER, is_week=is_week)  # a silent week is evaluated by no tick

        assert (engine.ledger(), engine.scores()) == at_once

    same()


def test_a_zone_and_all_instants_moved_together_come_to_the_same(world, tmp_path, settings):
    @given(activity, st.sampled_from([-11, -5, 3, 9]))
    def same(file, hours):
        settings.REWARDS_TIME_ZONE = "UTC"
        here = play([file], tmp_path)
        settings.REWARDS_TIME_ZONE = f"Etc/GMT{-hours:+d}"  # whose sign is turned round
        moved = [each._replace(at=each.at - timedelta(hours=hours)) for each in file]

        assert play([moved], tmp_path) == here

    same()


def test_scores_built_anew_are_the_scores(world, tmp_path):
    @given(activity)
    def same(file):
        _, kept = play([file], tmp_path)
        Score.objects.all().delete()
        scores.repair_scores()

        assert engine.scores() == kept

    same()
