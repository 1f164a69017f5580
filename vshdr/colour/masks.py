"""The ramp by which masks and blends fade in."""

from __future__ import annotations

from torch import Tensor


def ramp(values: Tensor, low: float, high: float) -> Tensor:
    """Return 0 up to `low`, 1 from `high` on and a straight line between them, for `values` of any shape."""
    return ((values - low) / (high - low)).clamp(0.0, 1.0)
