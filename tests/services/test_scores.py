"""Scores: points added to them, rolled over, and rebuilt from the ledger."""

from datetime import timedelta

import pytest
from django.db import connection, transaction

from rewards.choices import Cadence, RuleType
from rewards.engine.periods import Period
from rewards.engine.values import Award, Rule
from rewards.models import Score
from rewards.services import scores
from rewards.services.scores import add_awards, repair_scores, roll_over
from tests.factories import (
    A_MONDAY,
    AwardRunFactory,
    HostFactory,
    RewardRuleFactory,
    ScoreFactory,
    ScoreHistoryFactory,
)
from tests.processes import another_session

pytestmark = pytest.mark.django_db

ONE_DAY = timedelta(days=1)
TUESDAY = A_MONDAY + ONE_DAY
SUNDAY = A_MONDAY + 6 * ONE_DAY
LAST_MONDAY = A_MONDAY - 7 * ONE_DAY
LAST_SUNDAY = A_MONDAY - ONE_DAY
NEXT_MONDAY = A_MONDAY + 7 * ONE_DAY


def daily(day):
    return Period(Cadence.DAILY, day)


def award(points=10):
    rule = Rule(version=1, rule_type=RuleType.DAILY_LOGIN, threshold=1, points=points)
    return Award(rule, 1)


def score(user=None):
    """Return the only score, or that of `user`."""
    scores = Score.objects.filter(user=user) if user else Score.objects
    return scores.values_list("lifetime", "daily", "daily_date", "weekly", "week_start").get()


# --- Adding awards ----------------------------------------------------------------------------


def test_the_first_award_inserts_the_score():
    host = HostFactory()
    AwardRunFactory(reference_date=TUESDAY)

    add_awards(period=daily(TUESDAY), awards={host.pk: [award(10), award(25)]})

    assert score(host) == (35, 35, TUESDAY, 35, A_MONDAY)


@pytest.mark.parametrize(
    ("evaluated", "expected"),
    [
        # The award is of Tuesday; the latest run is of
        (A_MONDAY, (10, 10, TUESDAY, 10, A_MONDAY)),
        (TUESDAY, (10, 10, TUESDAY, 10, A_MONDAY)),
        (SUNDAY, (10, 0, SUNDAY, 10, A_MONDAY)),
        (NEXT_MONDAY, (10, 0, NEXT_MONDAY, 0, NEXT_MONDAY)),
        (None, (10, 10, TUESDAY, 10, A_MONDAY)),
    ],
)
def test_a_first_score_is_of_the_latest_evaluated_day(evaluated, expected):
    if evaluated:
        AwardRunFactory(reference_date=A_MONDAY - 30 * ONE_DAY)
        AwardRunFactory(reference_date=evaluated)

    add_awards(period=daily(TUESDAY), awards={HostFactory().pk: [award()]})

    assert score() == expected


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        # The score is of Tuesday; the award is of
        (TUESDAY, (110, 30, TUESDAY, 60, A_MONDAY)),
        (SUNDAY, (110, 10, SUNDAY, 60, A_MONDAY)),
        (NEXT_MONDAY, (110, 10, NEXT_MONDAY, 10, NEXT_MONDAY)),
        (A_MONDAY, (110, 20, TUESDAY, 60, A_MONDAY)),
        (LAST_SUNDAY, (110, 20, TUESDAY, 50, A_MONDAY)),
    ],
)
def test_an_award_is_added_to_the_periods_that_it_lies_in(of, expected):
    existing = ScoreFactory(lifetime=100, daily=20, daily_date=TUESDAY, weekly=50)
    other = ScoreFactory()

    add_awards(period=daily(of), awards={existing.user_id: [award()]})

    assert score(existing.user) == expected
    assert score(other.user) == (10, 10, A_MONDAY, 10, A_MONDAY)


def test_points_go_to_their_own_host():
    hosts = [HostFactory() for _ in range(3)]

    add_awards(
        period=daily(A_MONDAY),
        awards={host.pk: [award(points)] for host, points in zip(hosts, (1, 2, 3), strict=True)},
    )

    assert [score(host)[0] for host in hosts] == [1, 2, 3]


def test_a_weekly_award_is_of_its_monday():
    ScoreFactory(daily_date=SUNDAY, daily=0, weekly=30, lifetime=30)

    add_awards(
        period=Period(Cadence.WEEKLY, A_MONDAY), awards={Score.objects.get().user_id: [award(100)]}
    )

    assert score() == (130, 0, SUNDAY, 130, A_MONDAY)


# --- Rolling over -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        # The score is of Tuesday; it is rolled over to
        (LAST_MONDAY, (100, 20, TUESDAY, 50, A_MONDAY)),
        (A_MONDAY, (100, 20, TUESDAY, 50, A_MONDAY)),
        (TUESDAY, (100, 20, TUESDAY, 50, A_MONDAY)),
        (SUNDAY, (100, 0, SUNDAY, 50, A_MONDAY)),
        (NEXT_MONDAY, (100, 0, NEXT_MONDAY, 0, NEXT_MONDAY)),
    ],
)
def test_scores_of_earlier_periods_are_rolled_over(to, expected):
    existing = ScoreFactory(lifetime=100, daily=20, daily_date=TUESDAY, weekly=50)

    roll_over(period=daily(to))

    assert score(existing.user) == expected


def test_a_score_of_an_earlier_week_alone_is_rolled_over():
    """After a weekly award of this week, the day may be newer than the week."""
    ScoreFactory(daily_date=SUNDAY, week_start=LAST_MONDAY)

    roll_over(period=daily(SUNDAY))

    assert score() == (10, 10, SUNDAY, 0, A_MONDAY)


def test_scores_are_rolled_over_in_pieces(monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(scores, "PIECE", 2)
    older = [ScoreFactory(daily_date=A_MONDAY) for _ in range(5)]
    newer = ScoreFactory(daily_date=SUNDAY)

    # The pieces; for each a savepoint, a setting, the scores and the release of the savepoint.
    with django_assert_num_queries(1 + 3 * 4):
        roll_over(period=daily(TUESDAY))

    assert {score(row.user)[2] for row in older} == {TUESDAY}
    assert score(newer.user)[2] == SUNDAY


@pytest.mark.django_db(transaction=True)
def test_a_piece_that_is_moved_leaves_the_others_free(monkeypatch):
    """An award of a host in another piece waits for nothing."""
    monkeypatch.setattr(scores, "PIECE", 1)
    first, second = (ScoreFactory(daily_date=A_MONDAY).user_id for _ in range(2))
    free = []

    def move(params):
        with another_session() as session, transaction.atomic():
            moved(params)
            session.execute("SET lock_timeout = '10ms'")
            other = {first: second, second: first}[params["through"]]
            session.execute("UPDATE rewards_score SET lifetime = 11 WHERE user_id = %s", [other])
            free.append(other)

    moved = scores._move
    monkeypatch.setattr(scores, "_move", move)
    roll_over(period=daily(TUESDAY))

    assert free == [second, first]


def test_scores_of_the_period_are_not_written():
    ScoreFactory(daily_date=TUESDAY)
    with connection.cursor() as cursor:
        cursor.execute("SELECT ctid FROM rewards_score")
        before = cursor.fetchall()

        roll_over(period=daily(TUESDAY))

        cursor.execute("SELECT ctid FROM rewards_score")
        assert cursor.fetchall() == before


# --- Repair -----------------------------------------------------------------------------------


@pytest.fixture
def ledger():
    """Return the host of awards of Monday, Tuesday and the Sunday before; Tuesday was the last."""
    host = HostFactory(external_id="ana")
    rule = RewardRuleFactory(points=10)
    for day, points in ((LAST_SUNDAY, 1), (A_MONDAY, 10), (TUESDAY, 100)):
        run = AwardRunFactory(reference_date=day)
        ScoreHistoryFactory(user=host, rule=rule, reference_date=day, points=points, run=run)
    return host


TRUE_SCORE = {
    "lifetime": 111,
    "daily": 100,
    "daily_date": TUESDAY,
    "weekly": 110,
    "week_start": A_MONDAY,
}


def test_true_scores_are_left_alone(ledger):
    ScoreFactory(user=ledger, **TRUE_SCORE)

    report = repair_scores()

    assert (report.scores, report.examples) == (0, [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"lifetime": 112},
        {"daily": 99},
        {"daily_date": NEXT_MONDAY},
        {"weekly": 111},
        {"week_start": NEXT_MONDAY},
    ],
)
def test_any_wrong_column_is_rebuilt(ledger, wrong):
    ScoreFactory(user=ledger, **TRUE_SCORE | wrong)

    report = repair_scores()

    assert report.scores == 1
    assert score(ledger) == tuple(TRUE_SCORE.values())
    assert repair_scores().scores == 0


def test_a_missing_score_is_rebuilt_for_the_latest_day(ledger):
    report = repair_scores()

    assert report.examples == ["ana: lifetime none -> 111, daily 100, weekly 110"]
    assert score(ledger) == tuple(TRUE_SCORE.values())


def test_a_score_keeps_its_own_earlier_period(ledger):
    ScoreFactory(user=ledger, lifetime=5, daily=5, daily_date=LAST_SUNDAY, weekly=5)

    report = repair_scores()

    assert report.examples == ["ana: lifetime 5 -> 111, daily 1, weekly 1"]
    assert score(ledger) == (111, 1, LAST_SUNDAY, 1, LAST_MONDAY)


def test_a_week_ends_with_its_sunday():
    host = HostFactory()
    for day in (LAST_SUNDAY, A_MONDAY, SUNDAY, NEXT_MONDAY):
        ScoreHistoryFactory(
            user=host,
            reference_date=day,
            points=10,
            rule=RewardRuleFactory(starts_on=day),
            run=AwardRunFactory(reference_date=day),
        )
    ScoreFactory(user=host, lifetime=0, daily=0, daily_date=SUNDAY, weekly=0)

    repair_scores()

    assert score(host) == (40, 10, SUNDAY, 20, A_MONDAY)


def test_a_score_without_awards_is_emptied():
    AwardRunFactory(reference_date=A_MONDAY)
    wrong = ScoreFactory(daily_date=A_MONDAY)

    assert repair_scores().scores == 1

    assert score(wrong.user) == (0, 0, A_MONDAY, 0, A_MONDAY)


def test_a_dry_run_of_the_repair_writes_nothing(ledger):
    ScoreFactory(user=ledger, **TRUE_SCORE | {"lifetime": 200})

    report = repair_scores(is_dry_run=True)

    assert (report.scores, report.examples) == (
        1,
        ["ana: lifetime 200 -> 111, daily 100, weekly 110"],
    )
    assert score(ledger)[0] == 200


def test_a_few_examples_are_reported_in_order_of_host():
    AwardRunFactory()
    hosts = [ScoreFactory(user=HostFactory(external_id=f"h{n}")).user for n in (9, 8, 7, 6, 5, 4)]

    report = repair_scores(is_dry_run=True)

    assert report.scores == 6
    assert [example.split(":")[0] for example in report.examples] == [
        host.external_id for host in hosts[:5]
    ]


def locks_of_this_session():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relation::regclass::text, mode FROM pg_locks"
            " WHERE pid = pg_backend_pid() AND mode = 'ShareRowExclusiveLock'"
        )
        return set(cursor)


def test_a_repair_locks_ledger_and_scores():
    """A batch would otherwise write between the sums and the rebuilt scores."""
    repair_scores()

    assert locks_of_this_session() == {
        ("rewards_scorehistory", "ShareRowExclusiveLock"),
        ("rewards_score", "ShareRowExclusiveLock"),
    }


def test_a_dry_run_of_the_repair_locks_nothing():
    repair_scores(is_dry_run=True)

    assert locks_of_this_session() == set()
