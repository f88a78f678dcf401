"""A second implementation of the rules, in plain Python.

It shares no code with the application and stores no sums, so that it does not share its mistakes.
A host is its external id, a day is a date.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

KIND_OF = {
    "DAILY_LOGIN": "login",
    "DAILY_AUDIO_CALL_TARGET": "audio_call",
    "DAILY_VIDEO_CALL_TARGET": "video_call",
}
WEEKLY = "WEEKLY_CONSISTENCY"
DAY = timedelta(days=1)


class Event(NamedTuple):
    """One row of an imported file."""

    id: str
    host: str
    kind: str
    at: datetime
    seconds: int


class Version(NamedTuple):
    """A rule version, without its first day."""

    threshold: int
    points: int
    is_active: bool


class Sums(NamedTuple):
    """The score of a host: of the latest day evaluated for it, and its week."""

    lifetime: int
    daily: int
    day: date
    weekly: int
    monday: date


@dataclass
class Reference:
    """The state of the application."""

    zone: ZoneInfo
    min_call_seconds: int = 1
    left_on: dict[str, date | None] = field(default_factory=dict)
    rules: dict[str, dict[date, Version]] = field(default_factory=dict)
    """Rule type -> first day -> version."""
    events: dict[str, Event] = field(default_factory=dict)
    ledger: dict[tuple[str, str, date], int] = field(default_factory=dict)
    evaluated: date | None = None
    """The latest reference date of any run."""
    score_days: dict[str, date] = field(default_factory=dict)
    """Host with an award -> the day of its score."""
    live_runs: dict[date, set[str]] = field(default_factory=dict)
    """Day with a live run -> the rule types that it pays; none once it has ended."""
    awarded_days: set[date] = field(default_factory=set)

    # --- Actions --------------------------------------------------------------------------------

    def add_host(self, host: str) -> None:
        self.left_on.setdefault(host, None)

    def leave(self, host: str, day: date) -> None:
        self.left_on[host] = day

    def accepts_rule(self, rule_type: str, starts_on: date, version: Version, today: date) -> bool:
        """Return whether a version may be written, or exists already."""
        versions = self.rules.get(rule_type, {})
        if versions.get(starts_on) == version:
            return True
        if any(day >= starts_on for day in versions):
            return False
        days_back = 6 if rule_type == WEEKLY else 0
        is_paid = any(
            paid_type == rule_type and day >= starts_on - days_back * DAY
            for _, paid_type, day in self.ledger
        )
        is_paid_live = any(
            rule_type in types and day >= starts_on for day, types in self.live_runs.items()
        )
        return starts_on > today or not (is_paid or is_paid_live)

    def set_rule(self, rule_type: str, starts_on: date, version: Version) -> None:
        self.rules.setdefault(rule_type, {})[starts_on] = version

    def ingest(self, events: list[Event], now: datetime) -> dict[str, int]:
        """Store new valid events, in order of the file; return the number of rows by outcome."""
        outcomes = dict.fromkeys(["stored", "duplicates", "conflicts", "rejected"], 0)
        for event in events:
            if event.host not in self.left_on or event.at > now + timedelta(minutes=5):
                outcomes["rejected"] += 1
            elif event.id not in self.events:
                self.events[event.id] = event
                outcomes["stored"] += 1
            elif self.events[event.id] == event:
                outcomes["duplicates"] += 1
            else:
                outcomes["conflicts"] += 1
        return outcomes

    def send(
        self, events: list[Event], now: datetime, *, is_live: bool
    ) -> tuple[dict[str, int], set[tuple[str, str]]]:
        """Ingest the events of a request; return also the (host, rule type) paid for today."""
        today = now.astimezone(self.zone).date()
        before = self.due(today)
        outcomes = self.ingest(events, now)
        is_well_formed = any(event.at <= now + timedelta(minutes=5) for event in events)
        types = self.paid_live(today) if is_live and is_well_formed else set()
        paid = {
            key: points
            for key, points in self.due(today).items()
            if key[1] in types and key not in before and key not in self.ledger
        }
        self.pay(paid, today)
        return outcomes, {(host, rule_type) for host, rule_type, _ in paid}

    def paid_live(self, day: date) -> set[str]:
        """Return the rule types that are paid live; the first call with one opens the live run."""
        if day not in self.live_runs:
            types = {
                rule_type
                for rule_type in KIND_OF
                if (version := self.version_of(rule_type, day)) and version.is_active
            }
            if day in self.awarded_days or not types:
                return set()
            self.live_runs[day] = types
            self.evaluated = max(day, self.evaluated or day)
        return self.live_runs[day]

    def end_live_runs(self, today: date) -> None:
        """End those of earlier days, for good."""
        self.live_runs |= {day: set() for day in self.live_runs if day < today}

    def award(self, day: date, *, is_week: bool = False) -> None:
        """Pay what is due for a day, or for the week of a Monday, and is not yet paid."""
        self.evaluated = max(day, self.evaluated or day)
        if not is_week:
            self.awarded_days.add(day)
            self.live_runs[day] = set()
        due = self.due(day, is_week=is_week)
        self.pay({key: due[key] for key in due if key not in self.ledger}, day)
        for host, last in self.score_days.items():
            self.score_days[host] = max(day, last)

    def pay(self, awards: dict[tuple[str, str, date], int], day: date) -> None:
        self.ledger |= awards
        for host, _, _ in awards:
            assert self.evaluated is not None
            # A first award shows the latest evaluated day, any other one its own.
            self.score_days[host] = max(day, self.score_days.get(host, self.evaluated))

    # --- Results --------------------------------------------------------------------------------

    def day_of(self, event: Event) -> date:
        return event.at.astimezone(self.zone).date()

    def counting(self) -> list[Event]:
        """Return the logins and the completed calls."""
        return [
            event
            for event in self.events.values()
            if event.kind == "login" or event.seconds >= self.min_call_seconds
        ]

    def due(self, day: date, *, is_week: bool = False) -> dict[tuple[str, str, date], int]:
        """Return (host, rule type, date) -> points of every award earned, paid or not."""
        last = day + 6 * DAY if is_week else day
        earned = {}
        for rule_type in self.rules:
            version = self.version_of(rule_type, last)
            if (rule_type == WEEKLY) != is_week or version is None:
                continue
            for host, left_on in self.left_on.items():
                is_eligible = left_on is None or last <= left_on
                if (
                    version.is_active
                    and is_eligible
                    and self.count(host, rule_type, day) >= version.threshold
                ):
                    earned[host, rule_type, day] = version.points
        return earned

    def version_of(self, rule_type: str, day: date) -> Version | None:
        versions = self.rules.get(rule_type, {})
        begun = [start for start in versions if start <= day]
        return versions[max(begun)] if begun else None

    def count(self, host: str, rule_type: str, day: date) -> int:
        """Return the events of a rule's kind on a day, or the active days of a week."""
        counted = [event for event in self.counting() if event.host == host]
        if rule_type == WEEKLY:
            week = {day + n * DAY for n in range(7)}
            return len(week & {self.day_of(event) for event in counted})
        kind = KIND_OF[rule_type]
        return sum(event.kind == kind and self.day_of(event) == day for event in counted)

    def scores(self) -> dict[str, Sums]:
        """Return the score of each host with an award."""
        sums = {}
        for host, last in self.score_days.items():
            monday = last - last.weekday() * DAY
            paid = [(day, points) for (user, _, day), points in self.ledger.items() if user == host]
            sums[host] = Sums(
                lifetime=sum(points for _, points in paid),
                daily=sum(points for day, points in paid if day == last),
                day=last,
                weekly=sum(points for day, points in paid if monday <= day < monday + 7 * DAY),
                monday=monday,
            )
        return sums
