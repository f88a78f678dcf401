"""What a request with events stores, counts and reports."""

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from django.db import DataError, OperationalError, connection, transaction

from rewards.engine.values import Facts
from rewards.exceptions import MinCallSecondsChanged, RewardsError, TimeZoneChanged
from rewards.models import ActivityEvent, ActivitySettings, DailyActivity, Host
from rewards.reports.verify.verification import verify_ledger
from rewards.services import db_errors, ingest
from rewards.services.activity import importing, storing
from rewards.services.activity.cells import parse_json
from rewards.services.activity.reading import COLUMNS
from rewards.services.activity.rows import CheckedEvent
from tests.factories import A_MONDAY, HostFactory, RewardRuleFactory, StaffFactory

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)


@pytest.fixture
def _hosts():
    for external_id in ("u1", "u2"):
        HostFactory(external_id=external_id)


def event(event_id="e1", user_id="u1", kind="login", at="2026-11-16T12:00:00Z", seconds=0):
    return dict(zip(COLUMNS, (event_id, user_id, kind, at, seconds), strict=True))


def send(*events, source="app", creates_hosts=False, now=NOW):
    """Store events and check what must hold after any request."""
    report = ingest.ingest_events(
        events=events, source=source, creates_hosts=creates_hosts, now=now
    )
    assert report.stored + report.duplicates + len(report.problems) == len(events)
    assert min(report.stored, report.duplicates) >= 0
    assert [p.index for p in report.problems] == sorted({p.index for p in report.problems})
    return report


def counts(report):
    return report.stored, report.duplicates, len(report.problems)


def problems(report):
    return [(p.index, p.event_id, p.part, p.reason) for p in report.problems]


def daily_activity():
    return list(
        DailyActivity.objects.order_by("date", "user").values_list(
            *("user__external_id", "date", "logins"),
            *("audio_calls", "audio_seconds", "video_calls", "video_seconds"),
        )
    )


def violations():
    return verify_ledger(today=A_MONDAY).broken


@pytest.mark.usefixtures("_hosts")
def test_events_are_stored_and_counted():
    report = send(
        event("e1"),
        event("e2", kind="audio_call", seconds=60),
        event("e3", kind="audio_call", seconds=40),
        event("e4", kind="audio_call", seconds=0),  # not completed, so not counted
        event("e5", kind="video_call", seconds=7),
        event("e8", user_id="u2", at="2026-11-17T00:00:00Z"),
        event("e9", user_id="u2", kind="video_call", at="2026-11-18T00:00:00Z"),
    )

    assert counts(report) == (7, 0, 0)
    assert daily_activity() == [
        ("u1", A_MONDAY, 1, 2, 100, 1, 7),
        ("u2", date(2026, 11, 17), 1, 0, 0, 0, 0),
    ]
    found = ActivityEvent.objects.get(event_id="e2")
    assert (found.source, found.kind, found.duration_seconds) == ("app", "audio_call", 60)
    assert (found.occurred_at, found.business_date) == (
        datetime(2026, 11, 16, 12, tzinfo=UTC),
        A_MONDAY,
    )
    assert violations() == []


@pytest.mark.usefixtures("_hosts")
def test_a_report_as_json():
    report = send(event(), event("e2", kind="call"), event(), event("e1", user_id="u2"))

    assert json.loads(json.dumps(report.to_dict())) == {
        "stored": 1,
        "duplicates": 1,
        "problems": [
            {
                "index": 1,
                "event_id": "e2",
                "part": "kind",
                "reason": "Bad kind 'call': use one of login, audio_call, video_call.",
            },
            {
                "index": 3,
                "event_id": "e1",
                "part": "conflict",
                "reason": "Conflict: event 'e1' is already stored with different content.",
            },
        ],
        "awards": [],
    }


@pytest.mark.usefixtures("_hosts")
def test_a_second_request_finds_only_duplicates():
    events = [event("e1"), event("e2", kind="audio_call", seconds=60)]
    send(*events)
    before = list(DailyActivity.objects.values()), list(ActivityEvent.objects.values())

    assert counts(send(*events)) == (0, 2, 0)
    assert (list(DailyActivity.objects.values()), list(ActivityEvent.objects.values())) == before


@pytest.mark.usefixtures("_hosts")
def test_of_two_events_with_an_id_the_first_is_stored():
    report = send(event(kind="audio_call", seconds=2), event(kind="audio_call", seconds=1))

    assert (counts(report), report.problems[0].index) == ((1, 0, 1), 1)
    assert ActivityEvent.objects.get().duration_seconds == 2


@pytest.mark.usefixtures("_hosts")
def test_bad_events_keep_no_other_from_being_stored():
    StaffFactory(external_id="s1")

    report = send(
        event("e0", user_id="nobody"),
        event("e1"),
        event("e2", user_id="s1"),
        None,
        {"event_id": 7},
        {"event_id": "x" * 200, "user_id": "u1", "kind": "login", "occurred_at": ""},
    )

    assert report.stored == 1
    assert [found[:3] for found in problems(report)] == [
        (0, "e0", "user"),
        (2, "e2", "user"),
        (3, None, "line"),
        (4, None, "event_id"),
        (5, "x" * 140, "event_id"),
    ]
    assert [found[3] for found in problems(report)][:4] == [
        "Unknown user 'nobody'.",
        "User 's1' is not a host.",
        "Expected a JSON object, found null.",
        "Bad event_id: expected text, found 7.",
    ]


def test_a_request_of_bad_events_writes_nothing(django_assert_num_queries):
    # Are settings recorded, and do they agree: a sample of events, and the recorded row.
    with django_assert_num_queries(3):
        assert counts(send(None, {})) == (0, 0, 2)


@pytest.mark.usefixtures("_hosts")
def test_ids_belong_to_their_source():
    send(event("e1"), event("e2"))

    report = send(event("e1", user_id="u2"), source="web")

    assert counts(report) == (1, 0, 0)
    assert ActivityEvent.objects.filter(event_id="e1").count() == 2


def test_hosts_are_created_on_request():
    staff = StaffFactory(external_id="s1")
    StaffFactory(username="host:taken")
    events = [event("e1", "new"), event("e2", "new"), event("e3", "s1"), event("e4", "taken")]

    assert counts(send(*events)) == (0, 0, 4)
    report = send(*events, creates_hosts=True)

    assert counts(report) == (2, 0, 2)
    assert [found[3] for found in problems(report)] == [
        "User 's1' is not a host.",
        "Unknown user 'taken'.",
    ]
    host = Host.objects.get()
    assert (host.external_id, host.username, host.date_joined) == ("new", "host:new", NOW)
    assert not host.has_usable_password()
    staff.refresh_from_db()
    assert not staff.is_host
    assert counts(send(event("e5", "new"), creates_hosts=True)) == (1, 0, 0)


def test_a_sequence_behind_its_rows_is_named():
    HostFactory(external_id="u1")
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval('rewards_user_id_seq', max(id), false) FROM rewards_user")

    with pytest.raises(RewardsError, match="The sequence of rewards_user is behind its rows"):
        send(event(user_id="new"), creates_hosts=True)

    assert not ActivityEvent.objects.exists()


# --- The days counted -------------------------------------------------------------------------


def store(*events):
    """Return the days that storing events has counted."""
    checked = [
        CheckedEvent(n, "2026-11-16", *map(str, each.values())) for n, each in enumerate(events)
    ]
    with transaction.atomic():
        return storing.store_events(
            events=checked, source="app", create_hosts=False, now=NOW,
            lock_timeout="2s", is_recorded=True,
        ).days  # fmt: skip


@pytest.mark.usefixtures("_hosts")
def test_each_day_counted_is_returned_before_and_after():
    Host.objects.filter(external_id="u2").update(left_on=A_MONDAY)
    (first,) = store(event("e1"), event("e2", kind="video_call", seconds=9))
    days = store(
        event("e1"),  # stored already
        event("e3", kind="video_call", seconds=9),
        event("e4", kind="audio_call", seconds=0),
        event("e5", user_id="u2", kind="audio_call", seconds=1),
    )

    assert (first.before, first.after) == (Facts(), Facts(1, 0, 1, active_days=1))
    assert (first.day, first.external_id, first.left_on) == (A_MONDAY, "u1", None)
    assert first.user == Host.objects.get(external_id="u1").pk
    assert {(day.external_id, day.left_on): (day.before, day.added, day.after) for day in days} == {
        ("u1", None): (first.after, Facts(video_calls=1), Facts(1, 0, 2, active_days=1)),
        ("u2", A_MONDAY): (Facts(), Facts(audio_calls=1), Facts(0, 1, 0, active_days=1)),
    }


@pytest.mark.usefixtures("_hosts")
def test_a_call_too_short_to_count_is_stored_without_a_day():
    assert store(event(kind="audio_call", seconds=0)) == []
    assert ActivityEvent.objects.count() == 1


# --- Statements -------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 1_000])
def test_the_number_of_statements_does_not_grow(number, django_assert_num_queries):
    RewardRuleFactory()
    send(event("first", user_id="u0"), creates_hosts=True)
    # The settings are recorded and compared, and the live run of the day is open.
    send(event("second", user_id="u0"))
    events = [event(f"e{n}", user_id=f"new-{n}") for n in range(number)]

    # Savepoint, hosts, events with their counts, release: BEGIN and COMMIT in production.
    with django_assert_num_queries(4):
        send(*events, creates_hosts=True)
    # Without hosts, and with a query for duplicates and problems.
    with django_assert_num_queries(4):
        send(*events)
    with django_assert_num_queries(3):
        send(*[each | {"event_id": f"{each['event_id']}+"} for each in events])


def prepared_statements():
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        return [statement.strip() for (statement,) in cursor]


@pytest.mark.usefixtures("_hosts")
def test_statements_stay_unprepared_on_request(monkeypatch):
    monkeypatch.setattr(connection.connection, "prepare_threshold", None)
    before = prepared_statements()

    assert counts(send(event(), event())) == (1, 1, 0)
    assert prepared_statements() == before


# --- Settings ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("_hosts")
def test_the_first_event_records_the_settings():
    send(event(kind="audio_call", seconds=0))

    assert ActivitySettings.objects.get().min_call_seconds == 1


@pytest.mark.usefixtures("_hosts")
@pytest.mark.parametrize(
    ("name", "value", "refusal"),
    [
        ("REWARDS_TIME_ZONE", "Asia/Kolkata", TimeZoneChanged),
        ("REWARDS_MIN_CALL_SECONDS", 2, MinCallSecondsChanged),
    ],
)
def test_changed_settings_are_refused(name, value, refusal, settings):
    send(event(at="2026-11-16T23:00:00Z"))
    setattr(settings, name, value)

    with pytest.raises(refusal):
        send(event("e2"))

    assert ActivityEvent.objects.count() == 1


@pytest.mark.usefixtures("_hosts")
def test_settings_are_compared_once_a_process(monkeypatch):
    compared = []
    monkeypatch.setattr(
        "rewards.services.unchanged_settings.require_unchanged_settings",
        lambda: compared.append(connection.settings_dict["NAME"]),
    )
    for number in range(4):
        send(event(f"e{number}"))
    # Before the first activity, and once when the settings are recorded.
    assert len(compared) == 2

    monkeypatch.setitem(connection.settings_dict, "HOST", "another")
    send(event("e4"))
    send(event("e5"))
    assert len(compared) == 3


@pytest.mark.usefixtures("_hosts")
def test_two_kinds_of_problems_end_with_their_cause():
    """As docs/integration.md says: these are worth sending again."""
    events = [event("e1", "later"), event("e2", at="2026-11-24T03:05:01Z")]
    found = problems(send(*events))
    assert [part for _, _, part, _ in found] == ["user", "occurred_at"]

    HostFactory(external_id="later")
    answer = send(*events, now=NOW + timedelta(seconds=1))

    assert counts(answer) == (2, 0, 0)


# --- Conflicts --------------------------------------------------------------------------------


def fail(error):
    raise error


def test_a_conflict_is_tried_again(monkeypatch):
    HostFactory(external_id="u1")
    monkeypatch.setattr(db_errors.time, "sleep", lambda seconds: None)
    conflict = OperationalError("deadlock detected")
    conflict.__cause__ = psycopg.errors.DeadlockDetected()
    store_events = ingest.store_events
    tries = []
    monkeypatch.setattr(
        ingest,
        "store_events",
        lambda **kwargs: store_events(**kwargs) if tries else tries.append(1) or fail(conflict),
    )

    assert counts(send(event())) == (1, 0, 0)


def test_an_error_that_is_no_conflict_is_raised(monkeypatch):
    monkeypatch.setattr(ingest, "store_events", lambda **_: fail(DataError("no")))

    with pytest.raises(DataError):
        send(event())


# --- The same by every entrance ---------------------------------------------------------------

MIXED = [
    *(event(f"login-{n}", f"u{n % 4}", at=f"2026-11-{16 + n % 3}T0{n}:30:00Z") for n in range(9)),
    *(
        event(f"call-{n}", f"u{n % 3}", ("audio_call", "video_call")[n % 2], seconds=n)
        for n in range(9)
    ),
    event("login-1", "u2"),  # another content
    event("call-3", "u0", "video_call", seconds=3),  # the same again
    event("call-4", "u1", "audio_call", at="2026-11-16T13:00:00+01:00", seconds=4),  # spelled
    event("bad", kind="call"),
    event("late", at="1999-12-31T23:59:59Z"),
    event('qu"ote,', "u1"),
]
WITHOUT = {"event_id": "none", "user_id": "u1", "kind": "login", "occurred_at": "2026-11-19T00:00Z"}


def as_csv(path):
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows([*MIXED, WITHOUT])
    path.with_suffix(".csv").write_text(text.getvalue())
    return path.with_suffix(".csv")


def as_json_lines(path):
    path.with_suffix(".jsonl").write_text(
        "".join(f"{json.dumps(each)}\n" for each in [*MIXED, WITHOUT])
    )
    return path.with_suffix(".jsonl")


def by_file(write):
    def load(tmp_path):
        report = importing.import_activity(
            path=write(tmp_path / "a"), source="app", create_hosts=True, now=NOW
        )
        with report.rejected_file.open(newline="") as file:
            reasons = [row["reason"] for row in csv.DictReader(file)]
        return report.stored, report.duplicates, reasons

    return load


def by_requests(size):
    def load(tmp_path):
        events = [parse_json(json.dumps(each)) for each in [*MIXED, WITHOUT]]
        reports = [
            send(*events[start : start + size], creates_hosts=True)
            for start in range(0, len(events), size)
        ]
        return (
            sum(report.stored for report in reports),
            sum(report.duplicates for report in reports),
            [problem.reason for report in reports for problem in report.problems],
        )

    return load


WAYS = {
    "CSV": by_file(as_csv),
    "JSON Lines": by_file(as_json_lines),
    "one by one": by_requests(1),
    "batches": by_requests(7),
    "one batch": by_requests(1_000),
}


def test_each_entrance_stores_the_same(tmp_path):
    def load(way):
        with transaction.atomic():
            report = way(tmp_path)
            stored = list(
                ActivityEvent.objects.order_by("source", "event_id").values_list(
                    *("source", "event_id", "user__external_id", "kind"),
                    *("occurred_at", "duration_seconds", "business_date"),
                )
            )
            assert violations() == []
            result = report, stored, sorted(daily_activity())
            transaction.set_rollback(True)
        return result

    found = {name: load(way) for name, way in WAYS.items()}

    (stored, duplicates, reasons), events, days = found["CSV"]
    assert (stored, duplicates, len(reasons)) == (20, 2, 3)
    assert (len(events), len(days)) == (20, 11)
    assert {name: result for name, result in found.items() if result != found["CSV"]} == {}
