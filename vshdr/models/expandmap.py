"""Expansion by a map of bright areas that is smooth inside them and stops at their edges."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from vshdr.colour.primaries import luminance
from vshdr.colour.transfer import EOTF
from vshdr.models.cards import Card
from vshdr.models.contract import Model

# The map is built in a bilateral grid: a coarse volume over x, y and luma (Chen, Paris and Durand, SIGGRAPH 2007).
_CELL = 32  # pixels per cell in x and y; the blur below makes the filter's sigma about this
_BINS = 12  # cells over luma; sigma about 0.09, near the 25 / 255 of the paper
_SHRINK = 4  # the grid is filled from a picture this much smaller, as it keeps nothing finer than a cell
_NEAR_CLIPPING = 0.9  # code value at which the largest channel begins to count as bright; at 1.0 it counts in full


class ExpandMap(Model):
    """The linearised SDR, multiplied by up to the square root of the headroom where it is near clipping.

    After Kovaleski and Oliveira, "High-Quality Reverse Tone Mapping for a Wide Range of Exposures", SIBGRAPI 2014,
    whose brightness enhancement function comes from a cross-bilateral filter. There are three differences. The
    threshold is a ramp, because a hard one flickers with the noise of video. What is not near clipping keeps its grade.
    And the largest factor is not 4: clipped light may have been anything from white to the peak, and the square root of
    the headroom is the middle of that range in stops.
    """

    card: ClassVar[Card] = Card(
        name="expandmap",
        summary="Keeps the grade; lifts near-clipped areas half the stops to the peak (strength 2: all).",
        recordable=False,
        source="Kovaleski and Oliveira, SIBGRAPI 2014",
        bounded=True,
        multiple=_CELL,
        context=3 * _CELL,
    )

    @property
    def brightest(self) -> float:
        """The square root of the headroom."""
        return self.display.headroom**0.5

    def forward(self, sdr: Tensor, summary: Tensor | None = None) -> Tensor:
        brightest = sdr.amax(dim=1, keepdim=True)
        near_clipping = ((brightest - _NEAR_CLIPPING) / (1.0 - _NEAR_CLIPPING)).clamp(0.0, 1.0)
        guide = luminance(sdr).clamp(0.0, 1.0)
        grid = self._fill(F.avg_pool2d(guide, _SHRINK), F.avg_pool2d(near_clipping, _SHRINK))
        expansion = self._slice(self._blur(grid), guide)
        return EOTF[self.display.eotf](sdr) * (1.0 + (self.brightest - 1.0) * expansion)

    @staticmethod
    def _fill(guide: Tensor, value: Tensor) -> Tensor:
        """Return the grid, N x 2 x bins x h x w: for each cell, the sum of the values and the sum of their weights."""
        centres = torch.linspace(0.0, 1.0, _BINS, device=guide.device, dtype=guide.dtype).view(1, -1, 1, 1)
        # N x bins x H/4 x W/4, linear between bins.
        weight = (1.0 - (guide - centres).abs() * (_BINS - 1)).clamp_min(0.0)
        pooled = [F.avg_pool2d(layer, _CELL // _SHRINK) for layer in (weight * value, weight)]
        return torch.stack(pooled, dim=1)

    @staticmethod
    def _blur(grid: Tensor) -> Tensor:
        """Return the grid after a binomial blur, 5 taps over x and y, and 3 over luma.

        The zeros beyond the border need no care: their weight is zero, too.
        """
        space = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], device=grid.device, dtype=grid.dtype) / 16.0
        luma = torch.tensor([1.0, 2.0, 1.0], device=grid.device, dtype=grid.dtype) / 4.0
        layers = grid.flatten(0, 1).unsqueeze(1)
        layers = F.conv3d(layers, luma.view(1, 1, 3, 1, 1), padding=(1, 0, 0))
        layers = F.conv3d(layers, space.view(1, 1, 1, 5, 1), padding=(0, 2, 0))
        layers = F.conv3d(layers, space.view(1, 1, 1, 1, 5), padding=(0, 0, 2))
        return layers.squeeze(1).unflatten(0, grid.shape[:2])

    @staticmethod
    def _slice(grid: Tensor, guide: Tensor) -> Tensor:
        """Return the grid's value at the position and luma of every pixel, N x 1 x H x W in [0, 1]."""
        n, _, height, width = guide.shape
        x = (torch.arange(width, device=guide.device, dtype=guide.dtype) + 0.5) / width * 2.0 - 1.0
        y = (torch.arange(height, device=guide.device, dtype=guide.dtype) + 0.5) / height * 2.0 - 1.0
        # The centres of the first and last bins are at luma 0 and 1, half a cell inside the volume of grid_sample.
        z = (guide[:, 0] * 2.0 - 1.0) * ((_BINS - 1) / _BINS)
        where = torch.stack(
            [x.view(1, 1, -1).expand(n, height, width), y.view(1, -1, 1).expand(n, height, width), z], dim=-1
        )
        sampled = F.grid_sample(grid, where.unsqueeze(1), padding_mode="border", align_corners=False).squeeze(2)
        return sampled[:, :1] / sampled[:, 1:].clamp_min(1e-6)
