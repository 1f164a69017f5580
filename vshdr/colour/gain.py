"""Gain in stops between linearised SDR and linear HDR."""

from __future__ import annotations

import torch
from torch import Tensor

from vshdr import kernels

GAIN_FLOOR = 1e-5
"""Added to both sides of the ratio, so that gain stays finite in black. Far below the darkest code of ten bits."""


def gain_of(base: Tensor, linear: Tensor) -> Tensor:
    """Return the gain in stops that takes `base`, linearised SDR, to `linear`; of any one shape, both >= 0."""
    if kernels.serves_whole(base, linear):
        return kernels.gain_of(base, linear, GAIN_FLOOR)
    return torch.log2((linear + GAIN_FLOOR) / (base + GAIN_FLOOR))


def apply_gain(base: Tensor, gain: Tensor) -> Tensor:
    """Return `base`, linearised SDR, brightened by `gain` stops: the inverse of `gain_of`, never negative."""
    if kernels.serves_whole(base, gain):
        return kernels.apply_gain(base, gain, GAIN_FLOOR)
    return ((base + GAIN_FLOOR) * torch.exp2(gain) - GAIN_FLOOR).clamp_min(0.0)
