"""The story of a request with events: check the settings, check the events, store, answer."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.db import DatabaseError, transaction

from rewards.exceptions import Busy
from rewards.selectors.time_zone import business_time_zone
from rewards.services.activity.cells import MAX_SHOWN, BadRow
from rewards.services.activity.rows import CheckedEvent, RowParser
from rewards.services.activity.storing import StoredEvents, store_events
from rewards.services.db_errors import first_line, is_conflict, retry_on_conflict
from rewards.services.unchanged_settings import require_unchanged_settings_once

LOCK_TIMEOUT = "2s"
"""How long a request waits for a lock. The app waits with it, so less than a run does."""

MAX_TRIES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An event that was not stored."""

    index: int
    """Its position among the events of the request, from 0."""
    event_id: str | None
    """As sent, cut to MAX_SHOWN; None if it is no text."""
    part: str
    """"line" for the event as a whole, the key that is wrong, "user" or "conflict"."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """The result of one request: events = stored + duplicates + problems."""

    stored: int
    duplicates: int
    """Events with the same content as one stored before or earlier in the request."""
    problems: list[Problem]
    """In the order of the events."""
    awards: Sequence[dict[str, Any]] = ()
    """The awards that the events of this request have earned."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "stored": self.stored,
            "duplicates": self.duplicates,
            "problems": [asdict(problem) for problem in self.problems],
            "awards": list(self.awards),
        }


def ingest_events(
    *, events: Sequence[object], source: str, creates_hosts: bool, now: datetime
) -> IngestReport:
    """Store the events of a request, which are values of parse_json().

    They are checked and stored as the rows of a file are, in one transaction and a number of
    statements that does not depend on theirs. A second call stores nothing. An event that cannot
    be stored keeps no other from being stored. Raises SettingChanged, and Busy after MAX_TRIES
    conflicts with other processes; then nothing was written.
    """
    is_recorded = require_unchanged_settings_once()
    accepted, problems = _checked(events, now)
    stored = StoredEvents(stored=0, rejected={}, days=[])
    if accepted:
        try:
            stored = _store(accepted, source, creates_hosts, now, is_recorded)
        except DatabaseError as error:
            if not is_conflict(error):
                raise
            raise Busy(
                f"Gave up after {MAX_TRIES} conflicts with other processes: {first_line(error)}. "
                "Nothing was stored; safe to send again."
            ) from error
        problems += [
            Problem(index=event.line, event_id=event.event_id, part=part, reason=reason)
            for event in accepted
            if event.line in stored.rejected
            for part, reason in [stored.rejected[event.line]]
        ]
        problems.sort(key=lambda problem: problem.index)
    return IngestReport(
        stored=stored.stored,
        duplicates=len(events) - stored.stored - len(problems),
        problems=problems,
    )


def _checked(events: Sequence[object], now: datetime) -> tuple[list[CheckedEvent], list[Problem]]:
    parser = RowParser(columns=None, zone=business_time_zone(), now=now)
    accepted = []
    problems = []
    for index, event in enumerate(events):
        try:
            accepted.append(parser.check(event, position=index))
        except BadRow as bad:
            event_id = event.get("event_id") if isinstance(event, dict) else None
            problems.append(
                Problem(
                    index=index,
                    event_id=event_id[:MAX_SHOWN] if isinstance(event_id, str) else None,
                    part=bad.category,
                    reason=bad.reason,
                )
            )
    return accepted, problems


@partial(retry_on_conflict, max_tries=MAX_TRIES)
def _store(
    events: Sequence[CheckedEvent],
    source: str,
    creates_hosts: bool,
    now: datetime,
    is_recorded: bool,
) -> StoredEvents:
    with transaction.atomic():
        return store_events(
            events=events,
            source=source,
            create_hosts=creates_hosts,
            now=now,
            lock_timeout=LOCK_TIMEOUT,
            is_recorded=is_recorded,
        )
