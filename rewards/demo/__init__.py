"""Activity for trials: real activity that is bundled, and made-up activity of any size."""

from rewards.demo.bundled import Bundled
from rewards.demo.synthetic import HEADER, Synthetic, synthetic_rows

__all__ = ["HEADER", "Bundled", "Synthetic", "synthetic_rows"]
