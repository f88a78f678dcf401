"""What the engine must come to, said a second time in plain Python.

Shares nothing with the application, and derives every sum, so that it cannot share its mistakes
either. A host is its external id; days are dates; everything is kept in dictionaries.
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
    """One line of a file of activity."""

    id: str
    host: str
    kind: str
    at: datetime
    seconds: int


class Terms(NamedTuple):
    """What a rule asks and pays from a day on."""

    threshold: int
    points: int
    is_active: bool


class Sums(NamedTuple):
    """The score of a host, for the latest day evaluated and its week."""

    lifetime: int
    daily: int
    day: date
    weekly: int
    monday: date


@dataclass
class Reference:
    """Hosts, rules, events and the ledger that they give."""

    zone: ZoneInfo
    min_call_seconds: int = 1
    left_on: dict[str, date | None] = field(default_factory=dict)
    rules: dict[str, dict[date, Terms]] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    ledger: dict[tuple[str, str, date], int] = field(default_factory=dict)
    evaluated: date | None = None
    """The latest reference date of any run."""

    # --- What happens ---------------------------------------------------------------------------

    def add_host(self, host: str) -> None:
        self.left_on.setdefault(host, None)

    def leave(self, host: str, day: date) -> None:
        self.left_on[host] = day

    def accepts_rule(self, rule_type: str, starts_on: date, terms: Terms, today: date) -> bool:
        """Return whether a version may be written, or stands already."""
        versions = self.rules.get(rule_type, {})
        if versions.get(starts_on) == terms:
            return True
        if any(day >= starts_on for day in versions):
            return False
        days_back = 6 if rule_type == WEEKLY else 0
        return starts_on > today or not any(
            paid_type == rule_type and day >= starts_on - days_back * DAY
            for _, paid_type, day in self.ledger
        )

    def set_rule(self, rule_type: str, starts_on: date, terms: Terms) -> None:
        self.rules.setdefault(rule_type, {})[starts_on] = terms

    def ingest(self, events: list[Event], now: datetime) -> dict[str, int]:
        """Store what is new and good, in order of the file; return what came of the lines."""
        came_of = dict.fromkeys(["stored", "duplicates", "conflicts", "rejected"], 0)
        for event in events:
            if event.host not in self.left_on or event.at > now + timedelta(minutes=5):
                came_of["rejected"] += 1
            elif event.id not in self.events:
                self.events[event.id] = event
                came_of["stored"] += 1
            elif self.events[event.id] == event:
                came_of["duplicates"] += 1
            else:
                came_of["conflicts"] += 1
        return came_of

    def award(self, day: date, *, is_week: bool = False) -> None:
        """Pay whoever has earned something of a day, or of the week of a Monday, and lacks it."""
        self.evaluated = max(day, self.evaluated or day)
        for key, points in self.due(day, is_week=is_week).items():
            self.ledger.setdefault(key, points)

    # --- What follows from it -------------------------------------------------------------------

    def day_of(self, event: Event) -> date:
        return event.at.astimezone(self.zone).date()

    def counting(self) -> list[Event]:
        """Return the logins, and the calls that were completed."""
        return [
            event
            for event in self.events.values()
            if event.kind == "login" or event.seconds >= self.min_call_seconds
        ]

    def due(self, day: date, *, is_week: bool = False) -> dict[tuple[str, str, date], int]:
        """Return (host, rule type, date) -> points of all that is earned, paid or not."""
        last = day + 6 * DAY if is_week else day
        earned = {}
        for rule_type, versions in self.rules.items():
            begun = [start for start in versions if start <= last]
            if (rule_type == WEEKLY) != is_week or not begun:
                continue
            terms = versions[max(begun)]
            for host, left_on in self.left_on.items():
                is_there = left_on is None or last <= left_on
                if (
                    terms.is_active
                    and is_there
                    and self.count(host, rule_type, day) >= terms.threshold
                ):
                    earned[host, rule_type, day] = terms.points
        return earned

    def count(self, host: str, rule_type: str, day: date) -> int:
        """Return what a rule counts: events of its kind on a day, or active days of a week."""
        mine = [event for event in self.counting() if event.host == host]
        if rule_type == WEEKLY:
            week = {day + n * DAY for n in range(7)}
            return len(week & {self.day_of(event) for event in mine})
        kind = KIND_OF[rule_type]
        return sum(event.kind == kind and self.day_of(event) == day for event in mine)

    def scores(self) -> dict[str, Sums]:
        """Return the sums of everyone who was ever paid."""
        sums = {}
        for host in {host for host, _, _ in self.ledger}:
            assert self.evaluated is not None
            monday = self.evaluated - self.evaluated.weekday() * DAY
            paid = [(day, points) for (who, _, day), points in self.ledger.items() if who == host]
            sums[host] = Sums(
                lifetime=sum(points for _, points in paid),
                daily=sum(points for day, points in paid if day == self.evaluated),
                day=self.evaluated,
                weekly=sum(points for day, points in paid if monday <= day < monday + 7 * DAY),
                monday=monday,
            )
        return sums
