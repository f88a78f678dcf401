"""Activity for trials: a sample of real activity, and synthetic activity of any size."""

from rewards.demo.bundled import Bundled
from rewards.demo.synthetic import Synthetic, synthetic_rows

Activity = Bundled | Synthetic
"""Activity of a number of UTC days that can be moved to end on any day."""

__all__ = ["Activity", "Bundled", "Synthetic", "synthetic_rows"]
