"""Activity that was near, short or late: the rest of the answer to "but I was there"."""

from collections.abc import Callable, Collection, Mapping, Sequence

from django.conf import settings

from rewards.choices import RULE_TYPE_SPECS, ActivityKind, Cadence, RuleType
from rewards.models import ActivityEvent
from rewards.reports.explain.host_period import HostPeriod
from rewards.reports.explain.outcome import Outcome
from rewards.wording import count

MAX_TIMES = 3
"""Times named in a note."""

KINDS_OF_METRIC: Mapping[str, Collection[ActivityKind]] = {
    "logins": [ActivityKind.LOGIN],
    "audio_calls": [ActivityKind.AUDIO_CALL],
    "video_calls": [ActivityKind.VIDEO_CALL],
    "active_days": list(ActivityKind),
}
"""The kinds of events that add to a metric."""


def notes_on(*, rule_type: RuleType, host_period: HostPeriod, outcome: Outcome) -> list[str]:
    """Return the notes that help to understand `outcome`, a sentence each."""
    metric = RULE_TYPE_SPECS[rule_type].metric
    kinds = KINDS_OF_METRIC[metric]
    unit = "week" if host_period.period.cadence == Cadence.WEEKLY else "day"
    notes: list[str] = []

    def note(events: Sequence[ActivityEvent], end: Callable[[int], str], more: str = "") -> None:
        relevant = [event for event in events if event.kind in kinds]
        if relevant:
            notes.append(f"{_events(relevant, host_period, more)} {end(len(relevant))}.")

    if outcome in {Outcome.NOT_EARNED, Outcome.NOT_CLOSED}:
        note(host_period.before, lambda n: f"{_verb(n, 'belong')} to the {unit} before", "more ")
        note(host_period.after, lambda n: f"{_verb(n, 'belong')} to the next {unit}", "more ")
        short = host_period.short
        if metric == "active_days":  # a call on an active day would have added nothing
            short = [e for e in short if e.business_date not in host_period.active_days]
        min_seconds = settings.REWARDS_MIN_CALL_SECONDS
        note(
            short,
            lambda n: f"{'was' if n == 1 else 'were'} too short to count (under {min_seconds} s)",
        )
    if outcome != Outcome.AWARDED and host_period.run is not None:
        started = host_period.run.started_at.astimezone(host_period.zone)
        note(
            host_period.late,
            lambda _: f"arrived after the latest run started on {started:%Y-%m-%d at %H:%M}",
        )
    return notes


def _verb(number: int, verb: str) -> str:
    return f"{verb}s" if number == 1 else verb


def _events(events: Sequence[ActivityEvent], host_period: HostPeriod, more: str) -> str:
    """Return the number of events, their kind, and their times."""
    kinds = {event.kind for event in events}
    noun = ActivityKind(kinds.pop()).label.lower() if len(kinds) == 1 else "event"
    form = "%a %H:%M" if host_period.period.cadence == Cadence.WEEKLY else "%H:%M"
    times = [f"{event.occurred_at.astimezone(host_period.zone):{form}}" for event in events]
    listed = ", ".join(times[:MAX_TIMES]) + (", …" if len(times) > MAX_TIMES else "")
    return f"{count(len(events), f'{more}{noun}')} at {listed}"
