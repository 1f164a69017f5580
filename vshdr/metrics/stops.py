"""Errors of luminance in stops, within masks: what a colourist would read off a light meter."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vshdr.colour.primaries import luminance

FLOOR = 2.0**-7
"""Added to luminance, 1.0 = SDR white, before its logarithm, so that light 7 stops below white and darker counts less.
"""
_FEWEST = 16  # pixels for a correlation


def stops(linear: Tensor, floor: float = FLOOR) -> Tensor:
    """Return log2(Y + floor) of linear light, N x 3 x H x W, 1.0 = SDR white, as N x 1 x H x W."""
    return (luminance(linear) + floor).log2()


def error(test: Tensor, reference: Tensor, mask: Tensor) -> float:
    """Return the mean of |stops(test) - stops(reference)| where `mask`, N x 1 x H x W bool, is set; NaN if nowhere."""
    return float((stops(test) - stops(reference)).abs()[mask].mean())


def bias(test: Tensor, reference: Tensor, mask: Tensor) -> float:
    """Return the mean of stops(test) - stops(reference) where `mask` is set: negative where `test` is too dark."""
    return float((stops(test) - stops(reference))[mask].mean())


def correlation(test: Tensor, reference: Tensor, mask: Tensor) -> float:
    """Return Pearson's correlation of stops where `mask` is set: whether highlights are bright in the right places.

    It is 0 if `test` is constant, and NaN for fewer than 16 pixels or a constant reference.
    """
    a, b = stops(test)[mask].double(), stops(reference)[mask].double()
    if len(a) < _FEWEST or float(b.std()) < 1e-6:
        return math.nan
    if float(a.std()) < 1e-6:
        return 0.0
    return float(torch.corrcoef(torch.stack((a, b)))[0, 1])
