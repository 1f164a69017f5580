"""Moving pictures along a motion: the one place that samples a picture at other positions.

Positions are normalised as `grid_sample` with `align_corners=False` has them: -1 and 1 are the outer edges of the
picture, so pixel k of n has its centre at (2 k + 1) / n - 1. A grid is N x H x W x 2, x before y, and says for each
pixel of the result where in the picture to look.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def warp(picture: Tensor, grid: Tensor) -> Tensor:
    """Return `picture`, N x C x H x W, sampled bilinearly at `grid`, N x h x w x 2; outside, the border is repeated."""
    return F.grid_sample(picture, grid.to(picture), padding_mode="border", align_corners=False)


def warp_by_flow(picture: Tensor, motion: Tensor) -> Tensor:
    """Return `picture`, 1 x C x H x W, sampled where `motion`, 1 x 2 x H x W pixels right and down, points."""
    height, width = picture.shape[-2:]
    normalised = motion * motion.new_tensor([2.0 / width, 2.0 / height])[:, None, None]
    return warp(picture, (pixel_centres(height, width, motion) + normalised).permute(0, 2, 3, 1))


def pixel_centres(height: int, width: int, like: Tensor | None = None) -> Tensor:
    """Return the normalised x and y of all pixel centres, 1 x 2 x H x W.

    They have the type and device of `like`; float32 on the CPU without it.
    """
    like = torch.empty(0) if like is None else like
    x = (2.0 * torch.arange(width).to(like) + 1.0) / width - 1.0
    y = (2.0 * torch.arange(height).to(like) + 1.0) / height - 1.0
    return torch.stack(torch.meshgrid(x, y, indexing="xy"))[None]


def identity_grid(height: int, width: int, like: Tensor | None = None) -> Tensor:
    """Return the grid that leaves a picture as it is, 1 x H x W x 2. `like` is as for `pixel_centres`."""
    return pixel_centres(height, width, like).permute(0, 2, 3, 1)


def is_inside(grid: Tensor) -> Tensor:
    """Return N x 1 x H x W bool: `grid`, N x H x W x 2, points between the centres of the outermost pixels, where
    `warp` need not repeat the border.
    """
    height, width = grid.shape[1:3]
    return (grid.abs() <= 1.0 - 1.0 / grid.new_tensor([width, height])).all(dim=-1).unsqueeze(1)
