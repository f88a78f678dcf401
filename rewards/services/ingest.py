"""The story of a request with events: check the settings, check the events, store, pay, answer."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db import DatabaseError, transaction

from rewards.exceptions import Busy
from rewards.selectors.eligibility import is_eligible_host
from rewards.selectors.time_zone import business_date, business_time_zone
from rewards.services.activity.cells import MAX_SHOWN, BadRow
from rewards.services.activity.rows import CheckedEvent, RowParser
from rewards.services.activity.storing import StoredEvents, store_events
from rewards.services.awarding.live import (
    Crossing,
    LiveRun,
    forget_live_run,
    live_run_of,
    pay,
)
from rewards.services.db_errors import (
    LOCK_TIMEOUT,
    first_line,
    has_run_ended,
    is_conflict,
    is_connection_lost,
    wait_after_conflict,
)
from rewards.services.unchanged_settings import require_unchanged_settings_once

logger = logging.getLogger(__name__)

_TRIES = [(True, False), (True, True), (False, False)]
"""For each try: whether it pays, and whether it looks up what was paid already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventProblem:
    """An event that was not stored, with the reason."""

    index: int
    """Its position among the events of the request, from 0."""
    event_id: str | None
    """As sent, cut to MAX_SHOWN; None if it is not text."""
    part: str
    """"line" for the event as a whole, the key that is wrong, "user" or "conflict"."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """The result of one request: events = stored + duplicates + problems."""

    stored: int
    duplicates: int
    """Events with the same content as one stored before or earlier in the request."""
    problems: list[EventProblem]
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

    They are checked and stored as the rows of a file are, and live awards are paid, in one
    transaction and a number of statements that does not depend on theirs. A second call stores
    nothing. An event that cannot be stored keeps no other from being stored. Raises
    SettingChanged, and Busy after repeated conflicts with other processes; then nothing was
    written.
    """
    is_recorded = require_unchanged_settings_once()
    accepted, problems = _checked(events, now)
    stored = StoredEvents(stored=0, rejected={}, days=[])
    awards: list[dict[str, Any]] = []
    if accepted:
        stored, awards = _store_and_pay(accepted, source, creates_hosts, now, is_recorded)
        problems += [
            EventProblem(index=event.line, event_id=event.event_id, part=part, reason=reason)
            for event in accepted
            if event.line in stored.rejected
            for part, reason in [stored.rejected[event.line]]
        ]
        problems.sort(key=lambda problem: problem.index)
    return IngestReport(
        stored=stored.stored,
        duplicates=len(events) - stored.stored - len(problems),
        problems=problems,
        awards=awards,
    )


def _checked(
    events: Sequence[object], now: datetime
) -> tuple[list[CheckedEvent], list[EventProblem]]:
    parser = RowParser(columns=None, zone=business_time_zone(), now=now)
    accepted = []
    problems = []
    for index, event in enumerate(events):
        try:
            accepted.append(parser.check(event, position=index))
        except BadRow as bad:
            event_id = event.get("event_id") if isinstance(event, dict) else None
            problems.append(
                EventProblem(
                    index=index,
                    event_id=event_id[:MAX_SHOWN] if isinstance(event_id, str) else None,
                    part=bad.category,
                    reason=bad.reason,
                )
            )
    return accepted, problems


def _store_and_pay(
    events: Sequence[CheckedEvent],
    source: str,
    creates_hosts: bool,
    now: datetime,
    is_recorded: bool,
) -> tuple[StoredEvents, list[dict[str, Any]]]:
    """Store `events`, pay what they have earned, and return both. Raises Busy.

    Storing comes first: after two conflicts nothing is paid, and the run of the day pays later.
    """
    day = business_date(now)
    pays = True
    for tries, (is_live, looks_up) in enumerate(_TRIES, start=1):
        live = live_run_of(day, lock_timeout=LOCK_TIMEOUT) if is_live and pays else None
        try:
            with transaction.atomic():
                stored = store_events(
                    events=events,
                    source=source,
                    create_hosts=creates_hosts,
                    now=now,
                    lock_timeout=LOCK_TIMEOUT,
                    is_recorded=is_recorded,
                )
                return stored, _pay(live, stored, looks_up=looks_up) if live else []
        except DatabaseError as error:
            # Without a live run the same error comes again, unless it was one of paying.
            if is_connection_lost(error) or not (live or is_conflict(error)):
                raise
            if not is_conflict(error) and not has_run_ended(error):
                logger.exception("Live awards failed; the events are stored without them.")
                pays = False
            if tries > 1 and live is None:
                logger.warning("request gave up after %d conflicts: %s", tries, first_line(error))
                raise Busy(
                    "The database is busy; nothing was stored. Send the same events again."
                ) from error
            forget_live_run()
            wait_after_conflict(error, work="request", tries=tries)
    raise AssertionError("The last try has no live run.")


def _pay(live: LiveRun, stored: StoredEvents, *, looks_up: bool) -> list[dict[str, Any]]:
    day = live.job.period.reference_date
    eligible = {
        counted.user: counted
        for counted in stored.days
        if counted.day == day and is_eligible_host(counted.left_on, day=day)
    }
    crossings = [Crossing(user, of.before, of.after) for user, of in eligible.items()]
    return [
        {
            "user_id": eligible[user].external_id,
            "rule_type": award.rule.rule_type.value,
            "reference_date": day.isoformat(),
            "points": award.rule.points,
            "measured": award.measured,
            "threshold": award.rule.threshold,
        }
        for user, earned in pay(live, crossings, looks_up=looks_up).items()
        for award in earned
    ]
