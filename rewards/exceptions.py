"""What can go wrong, one class for each thing a caller may want to tell apart.

Every message is one sentence for a person: what is wrong, the value, what is accepted.
`exit_code` is what a command ends with.
"""


class RewardsError(Exception):
    """The engine cannot do what was asked."""

    exit_code = 1


class UsageError(RewardsError):
    """What was asked for makes no sense; nothing was written."""

    exit_code = 2


class BadPeriod(UsageError):
    """A day or week that cannot be evaluated, or not yet."""


class RuleRefused(UsageError):
    """A rule version that may not be written."""


class InvalidStartDate(RuleRefused):
    """A day on which a rule version may not begin."""


class RuleChanged(RuleRefused):
    """A rule that is no longer what its editor saw when the change was thought out."""


class HostRefused(UsageError):
    """A host that may not be created or changed so."""


class HostChanged(HostRefused):
    """A host that has changed since its editor opened it."""


class UnknownHost(UsageError):
    """A host that nobody knows."""


class BadFile(UsageError):
    """An input file that cannot be read at all."""


class QueryTimedOut(RewardsError):
    """A question whose answer takes longer than anyone waits for it."""


class TimeZoneChanged(UsageError):
    """The configured zone is not the one in which the activity was counted."""


class AlreadyRunning(RewardsError):
    """Another process is at work on the same run; nothing was written."""

    exit_code = 3


class LedgerIsAppendOnly(RewardsError):
    """The ledger was asked to change a row that it holds; it only ever takes new ones."""


class QueueUnreachable(RewardsError):
    """The broker of the workers' queue does not answer; the database knows what is to be done."""
