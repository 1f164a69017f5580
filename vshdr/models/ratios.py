"""Colour where channels have clipped, from around there.

In the glow of a sunset red clips first, then green, and blue last, so that orange turns to yellow, and yellow to white.
What the ratios of the channels are just outside is plain to see, and inside they are seldom far from that.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vshdr.colour.masks import ramp

BRIGHT = (0.5, 0.8)  # code values of the largest channel between which a pixel comes to count: a shadow says nothing
CLIPPED = (0.95, 0.99)  # and of the larger of two channels, between which their ratio ceases to be known
BELIEVED = (0.8, 0.98)  # of a channel, between which its light comes to be told from the others'
DARKEST = 0.05  # code value below which stops are not counted
EXPONENT = 2.4  # of the light that is meant, BT.1886's; those of other displays are near enough
_RESERVE = 1e-6  # share of a pixel that says nothing: where no pixel does, the mean of all is as good as any


def carried_ratios(picture: Tensor, cell: int) -> tuple[Tensor, Tensor]:
    """Return how many stops red lies above green and green above blue, N x 2 x cells down x cells across, from where
    these channels are bright and not clipped; and how much of each cell that is, of the same size, from 0 to 1.

    `picture` is code values, N x 3 x H x W, with `cell` x `cell` pixels per cell. Where nothing is known, ratios go on
    from around by a pyramid of means (push-pull, Gortler et al. 1996, "The Lumigraph").
    """
    stops, larger = _stops(picture), torch.maximum(picture[:, :2], picture[:, 1:])
    weight = ramp(picture.amax(dim=1, keepdim=True), *BRIGHT) * (1.0 - ramp(larger, *CLIPPED))
    weight = weight.clamp_min(_RESERVE)
    known = F.avg_pool2d(weight, cell)
    return _carry_on(F.avg_pool2d((stops[:, :2] - stops[:, 1:]) * weight, cell) / known, known), known


def told_by_others(code: Tensor, ratios: Tensor) -> Tensor:
    """Return the gain in stops, at least 0, N x 3 x H x W, that the other channels of a pixel tell for each that is
    clipped.

    `code` is N x 3 x H x W, `ratios` N x 2 x H x W as of `carried_ratios`. A clipped channel's light is at least what
    its code says. By the ratios that bounds the others, too, and the highest of the three bounds is taken for true.
    """
    red, green, blue = _stops(code).split(1, dim=1)
    bounds = torch.cat((red - ratios[:, :1], green, blue + ratios[:, 1:]), dim=1)
    return ramp(code, *BELIEVED) * (bounds.amax(dim=1, keepdim=True) - bounds)


def _carry_on(ratios: Tensor, known: Tensor) -> Tensor:
    """Return ratios where they are known, and what is carried on from coarser means where they are not."""
    if ratios.shape[2:].numel() == 1:
        return ratios
    shares = F.avg_pool2d(known, 2, ceil_mode=True)
    means = F.avg_pool2d(ratios * known, 2, ceil_mode=True) / shares
    # A sixteenth of a cell that is known speaks for the whole of it: the nearest that is known counts most.
    coarser = _carry_on(means, (16.0 * shares).clamp_max(1.0))
    around = F.interpolate(coarser, size=ratios.shape[2:], mode="bilinear")
    return around + known * (ratios - around)


def _stops(code: Tensor) -> Tensor:
    return EXPONENT * code.clamp_min(DARKEST).log2()
