"""The closed vocabularies of the application and the limits that belong to them."""

from typing import NamedTuple

from django.db import models


class Cadence(models.TextChoices):
    """How often a rule is judged, and so what its reference date names."""

    DAILY = "daily", "Daily"
    """The reference date is the business day judged."""

    WEEKLY = "weekly", "Weekly"
    """The reference date is the Monday of the week judged."""


class ActivityKind(models.TextChoices):
    """What a host did."""

    LOGIN = "login", "Login"
    AUDIO_CALL = "audio_call", "Audio call"
    VIDEO_CALL = "video_call", "Video call"


class RuleType(models.TextChoices):
    """What a host can be paid for. Each member has its row in RULE_TERMS and its evaluator."""

    DAILY_LOGIN = "DAILY_LOGIN", "Daily login"
    DAILY_AUDIO_CALL_TARGET = "DAILY_AUDIO_CALL_TARGET", "Daily audio call target"
    DAILY_VIDEO_CALL_TARGET = "DAILY_VIDEO_CALL_TARGET", "Daily video call target"
    WEEKLY_CONSISTENCY = "WEEKLY_CONSISTENCY", "Weekly consistency"


class RuleTerms(NamedTuple):
    """What is fixed for a rule type; the numbers an admin may choose lie inside it."""

    cadence: Cadence
    max_threshold: int
    measure: str
    """The one of a host's facts that is held against the threshold."""
    counted: str
    """What that is, for people."""

    @property
    def unit(self) -> str:
        """What a threshold is written in."""
        return f"{self.counted} a {'week' if self.cadence == Cadence.WEEKLY else 'day'}"

    def amount(self, threshold: int) -> str:
        """Return a threshold in its unit."""
        unit = self.unit if threshold != 1 else self.unit.replace("s a ", " a ")
        return f"{threshold:,} {unit}"


RULE_TERMS: dict[RuleType, RuleTerms] = {
    RuleType.DAILY_LOGIN: RuleTerms(Cadence.DAILY, 100, "logins", "logins"),
    RuleType.DAILY_AUDIO_CALL_TARGET: RuleTerms(
        Cadence.DAILY, 10_000, "audio_calls", "completed audio calls"
    ),
    RuleType.DAILY_VIDEO_CALL_TARGET: RuleTerms(
        Cadence.DAILY, 10_000, "video_calls", "completed video calls"
    ),
    RuleType.WEEKLY_CONSISTENCY: RuleTerms(Cadence.WEEKLY, 7, "active_days", "active days"),
}

MIN_THRESHOLD = 1
MAX_THRESHOLD = max(terms.max_threshold for terms in RULE_TERMS.values())
"""Of all rule types; each has its own in RULE_TERMS."""
MIN_POINTS = 1
MAX_POINTS = 1_000_000
MAX_CALL_SECONDS = 86_400


class RunStatus(models.TextChoices):
    """How far a run has come."""

    RUNNING = "running", "Running"
    """Opened and not closed: alive while a process holds its lock, interrupted otherwise."""

    DONE = "done", "Done"
    """Every shard was judged and written."""

    PARTIAL = "partial", "Partial"
    """Some shards failed or were deferred; all others were written."""

    FAILED = "failed", "Failed"
    """No shard could be written."""


class ShardStatus(models.TextChoices):
    """What became of one span of hosts of a run."""

    PENDING = "pending", "Pending"
    DONE = "done", "Done"

    DEFERRED = "deferred", "Deferred"
    """Other processes were in the way for too long; the next run does it."""

    FAILED = "failed", "Failed"
    """It cannot be done until someone mends the cause."""


class RunTrigger(models.TextChoices):
    """Who asked for a run."""

    COMMAND = "command", "Command line"
    BEAT = "beat", "Schedule"
    ADMIN = "admin", "Admin"
