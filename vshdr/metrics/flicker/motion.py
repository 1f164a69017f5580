"""Where each pixel was in the frame before: optical flow of the source, and how far it can be trusted."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import torch
from torch import Tensor

from vshdr.metrics.flicker.equivariance import looks_inside, warp
from vshdr.temporal.flow import inverse_search, pixel_centres

SMALLEST = 16
"""Pixels that either side of a picture needs, so that motion in it can be followed."""
STILL = 0.25
"""Pixels per frame below which a pixel counts as still."""
# Sundaram, Brox and Keutzer, "Dense point trajectories by GPU-accelerated large displacement optical flow", ECCV 2010,
# eq. 5: a pixel is occluded where |w + w'|^2 >= 0.01 (|w|^2 + |w'|^2) + 0.5, w and w' being the flow there and back.
_RELATIVE, _ABSOLUTE = 0.01, 0.5


class Motion(NamedTuple):
    """The way from a frame to the one before it."""

    grid: Tensor
    """1 x H x W x 2: where each pixel was in the frame before, for `equivariance.warp`."""
    visible: Tensor
    """1 x 1 x H x W bool: it was seen there."""
    speed: Tensor
    """1 x 1 x H x W: pixels per frame."""
    doubt: Tensor
    """1 x 1 x H x W: pixels by which the place may be wrong."""


def exact(grid: Tensor, visible: Tensor) -> Motion:
    """Return motion that is known: `grid` 1 x H x W x 2 and `visible` 1 x 1 x H x W, as rendered scenes have them."""
    height, width = grid.shape[1:3]
    offset = (grid - identity(height, width)) * grid.new_tensor((width / 2, height / 2))
    speed = offset.norm(dim=-1).unsqueeze(1)
    return Motion(grid, visible, speed, torch.zeros_like(speed))


def identity(height: int, width: int) -> Tensor:
    """Return 1 x H x W x 2: the pixels' own centres, as `grid_sample` counts them without aligned corners."""
    return pixel_centres(height, width, torch.empty(0)).permute(0, 2, 3, 1)


def follow(now: Tensor, before: Tensor) -> Motion:
    """Return motion between two pictures, luma codes 1 x 1 x H x W in [0, 1], at least `SMALLEST` pixels a side: DIS
    with OpenCV's medium preset (`temporal.flow.inverse_search`), there and back.

    A pixel is visible where its place lies in the frame before and the flow from there leads back to it (Sundaram et
    al. 2010). What is left between its place and the way back is its doubt.
    """
    height, width = now.shape[2:]
    if torch.equal(now, before):  # DIS would say the same, but for its rounding
        nothing = torch.zeros(1, 1, height, width)
        return Motion(identity(height, width), torch.ones_like(nothing, dtype=torch.bool), nothing, nothing)
    there, back = (inverse_search(*pair, cv2.DISOPTICAL_FLOW_PRESET_MEDIUM) for pair in ((now, before), (before, now)))
    grid = identity(height, width) + there.permute(0, 2, 3, 1) * torch.tensor([2 / width, 2 / height])
    back = warp(back, grid)
    squares = (there.square() + back.square()).sum(dim=1, keepdim=True)
    doubt = (there + back).norm(dim=1, keepdim=True)
    visible = looks_inside(grid) & (doubt.square() < _RELATIVE * squares + _ABSOLUTE)
    return Motion(grid, visible, there.norm(dim=1, keepdim=True), doubt)
