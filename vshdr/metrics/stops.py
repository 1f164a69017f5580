"""Errors of luminance in stops, inside masks: what a person who grades would read off a light meter."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vshdr.colour.primaries import luminance

FLOOR = 2.0**-7
"""Added to luminance before its logarithm, 1.0 = SDR white: what happens 7 stops below white counts less and
less.
"""
_FEWEST = 16


def stops(linear: Tensor, floor: float = FLOOR) -> Tensor:
    """log2(Y + floor) of linear light N x 3 x H x W (1.0 = SDR white): N x 1 x H x W."""
    return (luminance(linear) + floor).log2()


def error(test: Tensor, reference: Tensor, mask: Tensor) -> float:
    """Return mean |stops(test) - stops(reference)| where `mask` (N x 1 x H x W) is set, NaN if nowhere."""
    return float((stops(test) - stops(reference)).abs()[mask].mean())


def bias(test: Tensor, reference: Tensor, mask: Tensor) -> float:
    """Return mean stops(test) - stops(reference) where `mask` is set: negative for highlights that are too dark."""
    return float((stops(test) - stops(reference))[mask].mean())


def correlation(test: Tensor, reference: Tensor, mask: Tensor) -> float:
    """Return Pearson's correlation of stops where `mask` is set: does a model know where in a highlight it is
    bright?

    0 for a constant, NaN for fewer than 16 pixels or a constant reference.
    """
    a, b = stops(test)[mask].double(), stops(reference)[mask].double()
    if len(a) < _FEWEST or float(b.std()) < 1e-6:
        return math.nan
    if float(a.std()) < 1e-6:
        return 0.0
    return float(torch.corrcoef(torch.stack((a, b)))[0, 1])
