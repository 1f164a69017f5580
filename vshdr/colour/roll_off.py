"""Roll-off: light above the peak bent below it, with its hue kept."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class RollOff(NamedTuple):
    """How light rolls off below a ceiling, in multiples of SDR white.

    The largest component x of a pixel becomes k + (1 - exp(-s (x - k))) / s above k. The curve and its slope are
    continuous at k, and the brightest light that can come in lands on the ceiling. R, G and B are scaled by one factor,
    which keeps hue.
    """

    start: float
    """k; infinite where nothing is bent."""
    slope: float
    """s, above 0."""
    ceiling: float
    """The most that any component can be."""

    @classmethod
    def below(cls, ceiling: float, knee: float = 0.75, brightest: float = math.inf) -> RollOff:
        """Return the roll-off that starts at `knee * ceiling`, but never below SDR white, and ends at `ceiling`.

        `brightest` is the brightest light that can come in. The less it passes the ceiling, the less is bent; where it
        does not pass it, nothing is. Without such a bound the ceiling is approached and never reached.
        """
        if brightest <= ceiling:
            return cls(math.inf, 1.0, ceiling)
        start = max(min(1.0, ceiling), knee * ceiling)
        return cls(start, _slope(brightest - start, ceiling - start), ceiling)


def roll_off(linear: Tensor, curve: RollOff) -> Tensor:
    """Return `linear`, N x 3 x H x W, >= 0, rolled off. An infinite ceiling changes nothing."""
    start, slope, ceiling = curve
    if not math.isinf(start):
        largest = linear.amax(dim=1, keepdim=True)
        rolled = start - torch.expm1(-slope * (largest - start).clamp_min(0.0)) / slope
        linear = torch.where(largest > start, linear * (rolled / largest.clamp_min(1e-6)), linear)
    return linear if math.isinf(ceiling) else linear.clamp_max(ceiling)


def _slope(reach: float, span: float) -> float:
    """Return the s for which (1 - exp(-s reach)) / s equals `span`, where `span` < `reach`.

    The left side falls as s rises, so s is found by bisection.
    """
    if span <= 0.0:
        return 1e30  # no room above the start: everything above it becomes the start
    low, high = 0.0, 1.0 / span
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if -math.expm1(-middle * reach) / middle > span else (low, middle)
    return high
