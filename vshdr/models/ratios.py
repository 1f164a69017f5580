"""The colour of light where channels have clipped, estimated from around there.

In the glow of a sunset red clips first, then green, and blue last, so that orange turns to yellow, and yellow to white.
The ratios of the channels just outside are known, and inside they are seldom much different.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vshdr.colour.masks import ramp

BRIGHT = (0.5, 0.8)  # code values of the largest channel between which a pixel begins to count; shadows say little
CLIPPED = (0.95, 0.99)  # code values of the larger of two channels between which their ratio ceases to be known
BELIEVED = (0.8, 0.98)  # code values of a channel between which the other channels begin to decide its light
DARKEST = 0.05  # code values below count as this one, to bound the stops
EXPONENT = 2.4  # of BT.1886, from code values to light; other displays are near enough
_RESERVE = 1e-6  # weight of a pixel that says nothing, so that where no pixel counts the mean of all is taken


def carried_ratios(picture: Tensor, cell: int) -> tuple[Tensor, Tensor]:
    """Return the ratios of channels for each cell, and how far each is known.

    `picture` is code values, N x 3 x H x W, with `cell` x `cell` pixels per cell. The ratios, N x 2 x cells down x
    cells across, are how many stops red lies above green and green above blue, where these channels are bright and not
    clipped. How far they are known, of the same shape, is the share of the cell that counts, 0 to 1. Where nothing is
    known, ratios come from the surroundings by a pyramid of means (push-pull, Gortler et al. 1996, "The Lumigraph").
    """
    stops, larger = _stops(picture), torch.maximum(picture[:, :2], picture[:, 1:])
    weight = ramp(picture.amax(dim=1, keepdim=True), *BRIGHT) * (1.0 - ramp(larger, *CLIPPED))
    weight = weight.clamp_min(_RESERVE)
    known = F.avg_pool2d(weight, cell)
    return _carry_on(F.avg_pool2d((stops[:, :2] - stops[:, 1:]) * weight, cell) / known, known), known


def told_by_others(code: Tensor, ratios: Tensor) -> Tensor:
    """Return the gain in stops that a pixel's other channels imply for each clipped channel, N x 3 x H x W, at least 0.

    `code` is N x 3 x H x W, `ratios` N x 2 x H x W as of `carried_ratios`. The light of a clipped channel is at least
    what its code value says. Through the ratios each channel so bounds the others, too, and the highest of the three
    bounds is taken as the truth.
    """
    red, green, blue = _stops(code).split(1, dim=1)
    bounds = torch.cat((red - ratios[:, :1], green, blue + ratios[:, 1:]), dim=1)
    return ramp(code, *BELIEVED) * (bounds.amax(dim=1, keepdim=True) - bounds)


def _carry_on(ratios: Tensor, known: Tensor) -> Tensor:
    """Return `ratios` where they are `known`, and means of coarser cells where they are not."""
    if ratios.shape[2:].numel() == 1:
        return ratios
    shares = F.avg_pool2d(known, 2, ceil_mode=True)
    means = F.avg_pool2d(ratios * known, 2, ceil_mode=True) / shares
    # A coarse cell counts as fully known once 1/16 of its area is, so nearby known values outweigh distant ones.
    coarser = _carry_on(means, (16.0 * shares).clamp_max(1.0))
    around = F.interpolate(coarser, size=ratios.shape[2:], mode="bilinear")
    return around + known * (ratios - around)


def _stops(code: Tensor) -> Tensor:
    """Return code values as light in stops, 0 for white."""
    return EXPONENT * code.clamp_min(DARKEST).log2()
