"""Gain that changes where nothing moves: pumping of whole regions, and boiling of highlights."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from vshdr.metrics.flicker.change import CELLS, Change, mean

_FILLED = 0.25  # share of a cell's pixels that have to count, for the cell to count
_WINDOW = 9  # pixels: a change that is alike over these is no boiling


def cell_size(width: int) -> int:
    """Return pixels along the side of a cell."""
    return max(1, width // CELLS)


def cells(change: Change, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean change of the gain in each cell in stops, h x w, signed; and whether the cell counts: a quarter
    of it has `weight`, 1 x 1 x H x W. Cells that do not count are 0.
    """
    size = cell_size(weight.shape[3])
    share = avg_pool2d(weight, size)
    total = avg_pool2d(change.gain * weight, size)
    filled = share >= _FILLED
    return torch.where(filled, total / share.clamp_min(1e-6), 0.0)[0, 0], filled[0, 0]


def pumping(change: Change) -> dict[str, float]:
    """Return local pumping, in stops per frame: the mean over still cells of |c - median of c|, where c is a cell's
    mean change of gain and the picture is 16 cells wide.

    The median is what the picture does as a whole (`exposure.exposure_jitter` has that); cells are the low spatial
    frequencies. A region that covers a share r < 1/2 of the picture and flickers alone gives r times its flicker. NaN
    where nothing is still.
    """
    values, filled = cells(change, change.weight * change.still)
    if not filled.any():
        return {"pumping": float("nan")}
    return {"pumping": float((values[filled] - values[filled].median()).abs().mean())}


def boiling(change: Change) -> dict[str, float]:
    """Return boiling, in stops per frame: in still highlights the mean |D G - its mean over the 9 x 9 pixels around|,
    the change of gain in high spatial frequencies. Of the pixels around, still highlights alone count. NaN where there
    are none.
    """
    weight = change.weight * change.still * change.highlight

    def around(values: Tensor) -> Tensor:
        return avg_pool2d(values, _WINDOW, stride=1, padding=_WINDOW // 2)

    local = around(change.gain * weight) / around(weight).clamp_min(1e-6)
    return {"boiling": mean((change.gain - local).abs(), weight)}
