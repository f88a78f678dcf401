"""Activity for trials: real activity that is bundled, and made-up activity of any size."""

from rewards.sample.bundled import Bundled
from rewards.sample.synthetic import HEADER, Synthetic, synthetic_rows

__all__ = ["HEADER", "Bundled", "Synthetic", "synthetic_rows"]
