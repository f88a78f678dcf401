"""What nearly counted, or came late: the rest of the answer to "but I was there"."""

from collections.abc import Callable, Sequence

from django.conf import settings

from rewards.choices import RULE_TYPE_SPECS, ActivityKind, Cadence, RuleType
from rewards.models import ActivityEvent
from rewards.reports.explain.outcome import Outcome
from rewards.reports.explain.period import Period

MAX_MOMENTS = 3
"""Moments named in a note."""

_KIND_OF_METRIC = {
    "logins": ActivityKind.LOGIN,
    "audio_calls": ActivityKind.AUDIO_CALL,
    "video_calls": ActivityKind.VIDEO_CALL,
}
"""What adds to a measure; to one that is not named here, anything does."""


def notes_on(*, rule_type: RuleType, period: Period, outcome: Outcome) -> list[str]:
    """Return the notes that help to understand `outcome`, a sentence each."""
    kind = _KIND_OF_METRIC.get(RULE_TYPE_SPECS[rule_type].metric)
    unit = "week" if period.cadence == Cadence.WEEKLY else "day"
    notes: list[str] = []

    def note(events: Sequence[ActivityEvent], end: Callable[[int], str], more: str = "") -> None:
        relevant = [event for event in events if kind in {None, event.kind}]
        if relevant:
            notes.append(f"{_what(relevant, period, more)} {end(len(relevant))}.")

    if outcome in {Outcome.NOT_EARNED, Outcome.NOT_CLOSED}:
        note(period.before, lambda n: f"{_s(n, 'belong')} to the {unit} before", "more ")
        note(period.after, lambda n: f"{_s(n, 'belong')} to the next {unit}", "more ")
        least = settings.REWARDS_MIN_CALL_SECONDS
        note(
            period.short,
            lambda n: f"{'was' if n == 1 else 'were'} too short to count (under {least} s)",
        )
    if outcome != Outcome.AWARDED and period.run is not None:
        began = period.run.started_at.astimezone(period.zone)
        note(
            period.late,
            lambda _: f"came in after the latest run had begun on {began:%Y-%m-%d at %H:%M}",
        )
    return notes


def _s(number: int, verb: str) -> str:
    return f"{verb}s" if number == 1 else verb


def _what(events: Sequence[ActivityEvent], period: Period, more: str) -> str:
    """Return how many events of which kind, and when."""
    kinds = {event.kind for event in events}
    noun = ActivityKind(kinds.pop()).label.lower() if len(kinds) == 1 else "event"
    form = "%a %H:%M" if period.cadence == Cadence.WEEKLY else "%H:%M"
    named = [f"{event.occurred_at.astimezone(period.zone):{form}}" for event in events]
    moments = ", ".join(named[:MAX_MOMENTS]) + (", …" if len(named) > MAX_MOMENTS else "")
    return f"{len(events):,} {more}{noun}{'' if len(events) == 1 else 's'} at {moments}"
