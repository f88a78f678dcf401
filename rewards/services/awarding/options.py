"""How a run is executed: by which processes, for how long, with which progress display."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from rewards.models import AwardRun

Progress = Callable[[int, int], None]
"""Called with (batches done, all batches)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a run is executed. The default is this process alone, in one thread, to the end."""

    notify_workers: Callable[[AwardRun], None] | None = None
    """Called with a run that was opened, so that other processes join it."""
    participate: bool = True
    """Whether this process awards batches, or only waits for the others."""
    second_thread: bool = False
    """Whether a large run uses a second thread, with a database connection of its own."""
    deadline: float = math.inf
    """The time.monotonic() at which to leave the rest of the run to others."""
    on_progress: Progress | None = None


SINGLE_PROCESS = RunOptions()
