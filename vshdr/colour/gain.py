"""Gain in stops between linearised SDR and linear HDR, and the ramp by which masks and blends fade in."""

from __future__ import annotations

import torch
from torch import Tensor

from vshdr import kernels

GAIN_FLOOR = 1e-5
"""Added to light before a ratio of it is taken: keeps gain finite in black. Far below the darkest code of ten bits."""


def gain_of(base: Tensor, linear: Tensor) -> Tensor:
    """Return the gain in stops that takes `base`, linearised SDR, to `linear`; any shape, both >= 0."""
    if kernels.serves_whole(base, linear):
        return kernels.gain_of(base, linear, GAIN_FLOOR)
    return torch.log2((linear + GAIN_FLOOR) / (base + GAIN_FLOOR))


def apply_gain(base: Tensor, gain: Tensor) -> Tensor:
    """`base`, linearised SDR, brightened by `gain` stops; the inverse of `gain_of`. Nothing is negative."""
    if kernels.serves_whole(base, gain):
        return kernels.apply_gain(base, gain, GAIN_FLOOR)
    return ((base + GAIN_FLOOR) * torch.exp2(gain) - GAIN_FLOOR).clamp_min(0.0)


def ramp(values: Tensor, low: float, high: float) -> Tensor:
    """0 up to `low`, 1 from `high` on, straight between; any shape."""
    return ((values - low) / (high - low)).clamp(0.0, 1.0)
