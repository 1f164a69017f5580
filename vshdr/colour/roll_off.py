"""Roll-off: light above the peak bent below it, with its hue kept."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class RollOff(NamedTuple):
    """How light rolls off below a ceiling, in multiples of SDR white.

    The largest component x of a pixel follows k + (1 - exp(-s (x - k))) / s above k, which is smooth there and takes
    the largest value that can come in to the ceiling. R, G and B share one factor, which keeps hue.
    """

    start: float
    """k; infinite where nothing is bent."""
    slope: float
    """s, above 0."""
    ceiling: float
    """What no component passes."""

    @classmethod
    def below(cls, ceiling: float, knee: float = 0.75, brightest: float = math.inf) -> RollOff:
        """Return the roll-off from `knee * ceiling`, but not from below SDR white, up to `ceiling`.

        Light up to `brightest` can come in: light that hardly passes the ceiling is hardly bent, and where it never
        does, nothing is. With no bound the ceiling is never reached.
        """
        if brightest <= ceiling:
            return cls(math.inf, 1.0, ceiling)
        start = max(min(1.0, ceiling), knee * ceiling)
        return cls(start, _saturation(brightest - start, ceiling - start), ceiling)


def soft_ceiling(linear: Tensor, ceiling: float, knee: float = 0.75, brightest: float = math.inf) -> Tensor:
    """Roll light, N x 3 x H x W, >= 0, off as `RollOff.below` describes. An infinite ceiling changes nothing."""
    return roll_off(linear, RollOff.below(ceiling, knee, brightest))


def roll_off(linear: Tensor, curve: RollOff) -> Tensor:
    """`linear`, N x 3 x H x W, >= 0, rolled off."""
    start, slope, ceiling = curve
    if not math.isinf(start):
        largest = linear.amax(dim=1, keepdim=True)
        rolled = start - torch.expm1(-slope * (largest - start).clamp_min(0.0)) / slope
        linear = torch.where(largest > start, linear * (rolled / largest.clamp_min(1e-6)), linear)
    return linear if math.isinf(ceiling) else linear.clamp_max(ceiling)


def _saturation(reach: float, span: float) -> float:
    """Return the s for which (1 - exp(-s reach)) / s is `span`, which is the smaller: by bisection, as
    it falls with s.
    """
    if span <= 0.0:
        return 1e30  # at once: what is above the start goes to the start
    low, high = 0.0, 1.0 / span
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if -math.expm1(-middle * reach) / middle > span else (low, middle)
    return high
