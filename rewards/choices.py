"""The enumerations of the application, and the limits that belong to them."""

from typing import NamedTuple

from django.db import models

from rewards.wording import count


class Cadence(models.TextChoices):
    """How often a rule is evaluated, and what its reference date means."""

    DAILY = "daily", "Daily"
    """The reference date is the business day evaluated."""

    WEEKLY = "weekly", "Weekly"
    """The reference date is the Monday of the week evaluated."""


class ActivityKind(models.TextChoices):
    """The kind of an activity event."""

    LOGIN = "login", "Login"
    AUDIO_CALL = "audio_call", "Audio call"
    VIDEO_CALL = "video_call", "Video call"


class ApiScope(models.TextChoices):
    """What the key of a client of the API allows."""

    EVENTS_WRITE = "events:write", "Send events"
    HOSTS_WRITE = "hosts:write", "Create and change hosts"
    SCORES_READ = "scores:read", "Read scores, awards and runs"


class RuleType(models.TextChoices):
    """What can be rewarded. Each member has a row in RULE_TYPE_SPECS and an evaluator."""

    DAILY_LOGIN = "DAILY_LOGIN", "Daily login"
    DAILY_AUDIO_CALL_TARGET = "DAILY_AUDIO_CALL_TARGET", "Daily audio call target"
    DAILY_VIDEO_CALL_TARGET = "DAILY_VIDEO_CALL_TARGET", "Daily video call target"
    WEEKLY_CONSISTENCY = "WEEKLY_CONSISTENCY", "Weekly consistency"


ADJUSTMENT = "ADJUSTMENT"
"""The type of a ledger row that no rule explains."""

LEDGER_TYPES = [*RuleType.choices, (ADJUSTMENT, "Adjustment")]
"""The types of ledger rows, as choices. Rules, forms and previews have rule types only."""


class RuleTypeSpec(NamedTuple):
    """What is fixed for a rule type: versions choose a threshold and points within limits."""

    cadence: Cadence
    max_threshold: int
    metric: str
    """The field of Facts that is compared with the threshold."""
    noun: str
    """What the metric counts, in the singular."""

    @property
    def counted(self) -> str:
        """What the metric counts, in the plural."""
        return f"{self.noun}s"

    @property
    def per_period(self) -> str:
        return "a week" if self.cadence == Cadence.WEEKLY else "a day"

    @property
    def unit(self) -> str:
        """The unit of a threshold: "logins a day"."""
        return f"{self.counted} {self.per_period}"

    def format_threshold(self, threshold: int) -> str:
        """Return a threshold with its unit: "1 login a day", "5 active days a week"."""
        return f"{count(threshold, self.noun)} {self.per_period}"


RULE_TYPE_SPECS: dict[RuleType, RuleTypeSpec] = {
    RuleType.DAILY_LOGIN: RuleTypeSpec(Cadence.DAILY, 100, "logins", "login"),
    RuleType.DAILY_AUDIO_CALL_TARGET: RuleTypeSpec(
        Cadence.DAILY, 10_000, "audio_calls", "completed audio call"
    ),
    RuleType.DAILY_VIDEO_CALL_TARGET: RuleTypeSpec(
        Cadence.DAILY, 10_000, "video_calls", "completed video call"
    ),
    RuleType.WEEKLY_CONSISTENCY: RuleTypeSpec(Cadence.WEEKLY, 7, "active_days", "active day"),
}

MIN_THRESHOLD = 1
MAX_THRESHOLD = max(spec.max_threshold for spec in RULE_TYPE_SPECS.values())
"""Of all rule types; each has its own in RULE_TYPE_SPECS."""
MIN_POINTS = 1
MAX_POINTS = 1_000_000
MAX_CALL_SECONDS = 86_400


class RunKind(models.TextChoices):
    """What a run writes."""

    AWARD = "award", "Award"
    """The awards of a period that has ended."""

    LIVE = "live", "Live"
    """The live awards of a business day: written with the events that earn them."""

    UNDO = "undo", "Undo"
    """The negatives of awards."""


class RunStatus(models.TextChoices):
    """The status of a run."""

    RUNNING = "running", "Running"
    """Opened and not closed; interrupted when no process holds its lock."""

    LIVE = "live", "Live"
    """A live run that takes awards until the first award run of its day opens."""

    HELD = "held", "Held"
    """Opened and stopped until an operator decides."""

    DONE = "done", "Done"
    """Every batch was evaluated and written."""

    PARTIAL = "partial", "Partial"
    """Some batches failed or were deferred; all others were written."""

    FAILED = "failed", "Failed"
    """No batch could be written."""


OPEN_STATUSES = (RunStatus.RUNNING, RunStatus.LIVE, RunStatus.HELD)
"""A run of these has no end yet."""


class BatchStatus(models.TextChoices):
    """The status of a batch of a run."""

    PENDING = "pending", "Pending"
    DONE = "done", "Done"

    DEFERRED = "deferred", "Deferred"
    """It kept meeting conflicts with other processes; the next run awards it."""

    FAILED = "failed", "Failed"
    """It fails again until the cause is fixed."""


class RunTrigger(models.TextChoices):
    """What started a run."""

    COMMAND = "command", "Command line"
    BEAT = "beat", "Schedule"
    ADMIN = "admin", "Admin"
    API = "api", "API"
