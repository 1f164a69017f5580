"""What the virtual camera gives: pairs of SDR and true light, and clips of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from vshdr.temporal.warp import identity_grid


@dataclass(frozen=True, kw_only=True)
class Pair:
    """N pictures of a camera and the light that was there, on the device of the panoramas."""

    sdr: Tensor
    """N x 3 x H x W code values in [0, 1], as a decoder would give them."""
    linear: Tensor
    """N x 3 x H x W, the truth: display-linear light without noise, 1.0 = SDR white. Below the curve's shoulder it is
    the linearised SDR; above, it continues with the ratios of the scene (see `curves`)."""
    scene: Tensor
    """N x 3 x H x W: the exposed light that entered the camera, without overlays. A hard clip would be at 1.0."""
    kind: list[str]
    """N descriptions of what was drawn, such as "graded+noise+420+dct+subtitle"; the curve comes first."""
    second_sdr: Tensor | None = None
    """The same scenes after a small known motion, with fresh noise and compression. Overlays do not move."""
    second_linear: Tensor | None = None
    """The truth of the second view."""
    grid: Tensor | None = None
    """N x H x W x 2: `temporal.warp.warp(first, grid)` shows what the second view shows."""
    valid: Tensor | None = None
    """N x 1 x H x W bool: what this pixel of the second view shows is visible in the first."""


def halved(pair: Pair) -> Pair:
    """Return `pair` at half its width and height, which must be even.

    Pictures become means of 2 x 2 pixels; a pixel is valid if all four were.
    """
    grid, valid = pair.grid, pair.valid
    if grid is not None and valid is not None:
        # The centre of a block moves by the mean of the movements of its pixels.
        grid = functional.avg_pool2d(grid.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
        valid = functional.avg_pool2d(valid.float(), 2) == 1.0
    return replace(
        pair,
        sdr=functional.avg_pool2d(pair.sdr, 2),
        linear=functional.avg_pool2d(pair.linear, 2),
        scene=functional.avg_pool2d(pair.scene, 2),
        second_sdr=None if pair.second_sdr is None else functional.avg_pool2d(pair.second_sdr, 2),
        second_linear=None if pair.second_linear is None else functional.avg_pool2d(pair.second_linear, 2),
        grid=grid,
        valid=valid,
    )


@dataclass(frozen=True, kw_only=True)
class Clip:
    """T frames of one scene while the camera moves steadily."""

    sdr: Tensor
    """T x 3 x H x W code values."""
    linear: Tensor
    """T x 3 x H x W, the truth, as in `Pair`."""
    grid: Tensor
    """T x H x W x 2: where each pixel was in the frame before, for `temporal.warp.warp`; the identity for the first."""
    valid: Tensor
    """T x 1 x H x W bool: the pixel is visible in the frame before."""
    kind: str
    """What was drawn, as in `Pair`."""

    @property
    def flow(self) -> Tensor:
        """T x 2 x H x W: pixels to the right and down from each pixel to its position in the frame before."""
        height, width = self.grid.shape[1:3]
        identity = identity_grid(height, width, self.grid.new_empty(0, dtype=torch.float64)).float()
        scale = torch.tensor([width / 2, height / 2], device=self.grid.device)[:, None, None]
        return (self.grid - identity).permute(0, 3, 1, 2) * scale
