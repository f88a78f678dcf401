"""The errors of the engine: one class for each case that a caller may want to tell apart.

Every message is a sentence for a person: what is wrong, the value, what is accepted. A command that
ends with the error exits with its `exit_code`.
"""


class RewardsError(Exception):
    """Base class; the engine cannot do what was requested."""

    exit_code = 1


class UsageError(RewardsError):
    """Invalid arguments or input; nothing was written."""

    exit_code = 2


class BadPeriod(UsageError):
    """A period that cannot be evaluated: it has not ended, or is not a valid day or week."""


class RuleRefused(UsageError):
    """A rule version that is invalid."""


class InvalidStartDate(RuleRefused):
    """A first day on which a rule version cannot begin."""


class RuleChanged(RuleRefused):
    """A rule that has changed since its editor opened it."""


class HostRefused(UsageError):
    """A host whose new values are invalid."""


class HostChanged(HostRefused):
    """A host that has changed since its editor opened it."""


class UnknownHost(UsageError):
    """An external id or a primary key that no host has."""


class UnknownRun(UsageError):
    """A primary key that no run has."""


class ClientRefused(UsageError):
    """A client of the API whose values are invalid."""


class ClientChanged(ClientRefused):
    """A client that has changed since its editor opened it."""


class KeyRefused(UsageError):
    """A key that cannot be created, or that does not exist."""


class BadFile(UsageError):
    """An input file that cannot be read at all."""


class QueryTimedOut(RewardsError):
    """A report query exceeded its time limit."""


class SettingChanged(UsageError):
    """A setting differs from the one that the stored activity was counted with."""


class TimeZoneChanged(SettingChanged):
    """REWARDS_TIME_ZONE differs from the time zone of the stored activity."""


class MinCallSecondsChanged(SettingChanged):
    """REWARDS_MIN_CALL_SECONDS differs from the value that the stored calls were counted with."""


class AlreadyRunning(RewardsError):
    """Another process is working on the same period; nothing was written."""

    exit_code = 3


class Busy(RewardsError):
    """Other processes held locks for too long; nothing was written. The same again may succeed."""


class LedgerIsAppendOnly(RewardsError):
    """An attempt to change or delete a row of the ledger."""


class QueueUnreachable(RewardsError):
    """The broker does not answer. What is due is in the database, so nothing is lost."""
