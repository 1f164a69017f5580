"""Motion from a frame to the one before it: estimated optical flow and how far it can be trusted, or known flow."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import torch
from torch import Tensor

from vshdr.temporal.flow import inverse_search
from vshdr.temporal.warp import identity_grid, is_inside, warp

SMALLEST = 16
"""Least width and height, in pixels, of pictures whose motion can be estimated."""
STILL = 0.25
"""Pixels per frame below which a pixel counts as still."""
# Sundaram, Brox and Keutzer, "Dense point trajectories by GPU-accelerated large displacement optical flow", ECCV 2010,
# eq. 5: a pixel is occluded where |w + w'|^2 >= 0.01 (|w|^2 + |w'|^2) + 0.5, w and w' being the flow there and back.
_RELATIVE, _ABSOLUTE = 0.01, 0.5


class Motion(NamedTuple):
    """The motion from a frame to the one before it."""

    grid: Tensor
    """1 x H x W x 2: where each pixel was in the frame before, for `temporal.warp.warp`."""
    visible: Tensor
    """1 x 1 x H x W bool: the pixel was visible there."""
    speed: Tensor
    """1 x 1 x H x W: pixels per frame."""
    uncertainty: Tensor
    """1 x 1 x H x W: pixels by which the position may be wrong."""


def known_motion(grid: Tensor, visible: Tensor) -> Motion:
    """Return the motion of a rendered scene, whose `grid`, 1 x H x W x 2, and visibility, 1 x 1 x H x W, are exact."""
    height, width = grid.shape[1:3]
    offset = (grid - identity_grid(height, width)) * grid.new_tensor((width / 2, height / 2))
    speed = offset.norm(dim=-1).unsqueeze(1)
    return Motion(grid, visible, speed, torch.zeros_like(speed))


def estimate_motion(now: Tensor, before: Tensor) -> Motion:
    """Return the motion between two pictures, luma codes 1 x 1 x H x W in [0, 1], at least `SMALLEST` pixels a side.

    The flow is DIS with OpenCV's medium preset, there and back. A pixel is visible where its position lies inside the
    frame before and the flow from there leads back to it (Sundaram et al. 2010). The distance by which the way back
    misses the pixel is its uncertainty.
    """
    height, width = now.shape[2:]
    identity = identity_grid(height, width)
    if torch.equal(now, before):  # DIS would find the same, but for rounding
        nothing = torch.zeros(1, 1, height, width)
        return Motion(identity, torch.ones_like(nothing, dtype=torch.bool), nothing, nothing)
    there, back = (inverse_search(*pair, cv2.DISOPTICAL_FLOW_PRESET_MEDIUM) for pair in ((now, before), (before, now)))
    grid = identity + there.permute(0, 2, 3, 1) * torch.tensor([2 / width, 2 / height])
    back = warp(back, grid)
    squares = (there.square() + back.square()).sum(dim=1, keepdim=True)
    uncertainty = (there + back).norm(dim=1, keepdim=True)
    visible = is_inside(grid) & (uncertainty.square() < _RELATIVE * squares + _ABSOLUTE)
    return Motion(grid, visible, there.norm(dim=1, keepdim=True), uncertainty)
