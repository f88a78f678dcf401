"""Which hosts a reader may see."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VisibleHosts:
    """The hosts that a client of the API may see: today, all of them.

    A selector or report that reads for the API takes a required `visible`, so that one that
    forgets it does not type-check.
    """


ALL_HOSTS = VisibleHosts()
