"""Gain that changes where nothing moves: pumping of whole regions, and boiling of highlights."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from vshdr.metrics.flicker.frame_difference import CELLS, FrameDifference, weighted_mean

_FILLED = 0.25  # share of a cell's pixels that must count, so that the cell counts
_WINDOW = 9  # pixels: a change that is the same over such a window is not boiling


def cell_size(width: int) -> int:
    """Return the side of a cell in pixels."""
    return max(1, width // CELLS)


def cells(difference: FrameDifference, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean change of gain in each cell, h x w, in stops and with its sign, and whether the cell counts.

    A cell counts if its pixels have a mean weight of at least a quarter (`weight`, 1 x 1 x H x W in [0, 1]). The others
    are 0.
    """
    size = cell_size(weight.shape[3])
    share = avg_pool2d(weight, size)
    total = avg_pool2d(difference.gain * weight, size)
    filled = share >= _FILLED
    return torch.where(filled, total / share.clamp_min(1e-6), 0.0)[0, 0], filled[0, 0]


def pumping(difference: FrameDifference) -> dict[str, float]:
    """Return local pumping in stops per frame: the mean over still cells of |c - median of c|, where c is a cell's mean
    change of gain and the picture is 16 cells wide. NaN if nothing is still.

    Cells are the low spatial frequencies. The median is what the picture does as a whole, which `exposure_jitter`
    measures. A region that covers a share r < 1/2 of the picture and flickers alone gives r times its flicker.
    """
    values, filled = cells(difference, difference.weight * difference.still)
    if not filled.any():
        return {"pumping": float("nan")}
    return {"pumping": float((values[filled] - values[filled].median()).abs().mean())}


def boiling(difference: FrameDifference) -> dict[str, float]:
    """Return boiling in stops per frame: the mean over still highlights of |D G - local mean of D G|, where D G is the
    change of gain. NaN if there are none.

    This is the change in high spatial frequencies. The local mean is over those of the 9 x 9 pixels around that are
    still highlights themselves.
    """
    weight = difference.weight * difference.still * difference.highlight

    def window_mean(values: Tensor) -> Tensor:
        return avg_pool2d(values, _WINDOW, stride=1, padding=_WINDOW // 2)

    local = window_mean(difference.gain * weight) / window_mean(weight).clamp_min(1e-6)
    return {"boiling": weighted_mean((difference.gain - local).abs(), weight)}
