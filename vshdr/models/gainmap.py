"""The default network: it looks at the frame small, and acts on it at full size.

A U-Net sees the whole frame with some 135 rows, however large it is. Its encoder knows from ImageNet what things look
like. For every cell of 4 x 4 of the pixels it sees, the U-Net gives each channel two curves of gain in stops: one over
the channel's own code value, one over the pixel's smallest. The curves are interpolated between cells and looked up at
half the frame's size, which keeps edges where they are (a bilateral grid, Chen et al. 2007, Gharbi et al. 2017). The
gain is enlarged, faded in towards clipping, and multiplies the linearised SDR at full size. Where nothing is near
clipping the output is the linearised SDR.

The smallest code value tells a lamp's white middle, which must be lifted more, from its coloured rim. It is a noisy
guide, so it is looked up smoothed. Without it rims turn to orange rings; with it alone a sunset, where blue never
clips, stays dull. And what one channel has lost the others still tell, given the light's colour: `ratios.py` carries
that on from where nothing has clipped, and the U-Net says per cell how far to believe it.

What white means cannot be seen from near by: a grade that rolls highlights off leaves other shares of the frame near
white than one that clips them. So the network is told how the frame's code values are distributed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vshdr import kernels
from vshdr.colour.masks import ramp
from vshdr.colour.transfer import EOTF, EXPONENTS
from vshdr.models.backbone import CHANNELS, STRIDES, Conv, Encoder
from vshdr.models.contract import Description, Display, Model, load_state, round_up
from vshdr.models.ratios import BELIEVED, DARKEST, EXPONENT, carried_ratios, told_by_others

ROWS = 135  # of what the network sees of a frame, or columns where it is upright; within a factor of the root of two
MOST_HALVINGS = 4  # from the frame to what the network sees, at least one; four are for 2160 rows
FOLD = STRIDES[0]  # pixels of what it sees per cell, in each direction
WIDTHS = (32, 48, 64, 96)  # channels of the decoder, by the sizes of the encoder's features
KNOTS = (0.6, 0.8, 0.92, 0.98, 1.0)  # code values at which curves are given; straight between, constant below
CURVES = 6 * len(KNOTS)  # values of a cell's curves
RATIOS = 2  # of channels; a cell says how much more to believe each than is natural, and what to add to it
SOFTEST, STRONGEST = -2.0, 7.0  # bounds of the gain in stops; without them training can run away to infinity
FADE_FROM, FADE_TO = 0.6, 0.98  # code values of the largest channel between which the gain fades in
LEVELS = (0.2, 0.35, 0.5, 0.6, 0.68, 0.75, 0.81, 0.86, 0.9, 0.93, 0.95, 0.965, 0.977, 0.986, 0.993, 0.998, 1.0)
"""Code values whose distribution over the frame is told to the network, closest where highlights roll off."""
CONTEXT = 64  # numbers that say what the distribution means
NEAR_WHITE = ((0.6, 0.9), (0.85, 0.98), (0.96, 1.0), (0.985, 1.0))
"""Ramps over code values. How much of a cell passes them is told to the U-Net, which takes long to find it in the code
values themselves, most of whose range it has no use for.
"""
LEAK = 0.1  # slope of rectifiers below zero: plain ones die in training until the network says the same everywhere
_TRUST = kernels.Trust(*BELIEVED, EXPONENT, DARKEST)
_COARSEST = FOLD * 2**MOST_HALVINGS  # pixels of the largest cells


def _layer(inputs: int, outputs: int) -> nn.Sequential:
    """Keep the variance of its input (He et al. 2015), until training decides otherwise."""
    convolution = Conv(inputs, outputs, 3)
    nn.init.kaiming_normal_(convolution.weight, a=LEAK)
    nn.init.zeros_(convolution.bias)
    return nn.Sequential(convolution, nn.LeakyReLU(LEAK, inplace=True))


class GainMap(Model):
    """32 coefficients per cell: two curves per channel, each the gain in stops at the five `KNOTS`, and two ratios."""

    description = Description(
        name="gainmap",
        summary="Keeps the grade and restores clipped highlights from their surroundings, quietly over time.",
        source="vshdr",
        multiple=_COARSEST,
        context=_COARSEST,
        whole_frame=True,
        weights=("gainmap",),
    )

    def __init__(self, display: Display, state: dict[str, Tensor] | None = None, origin: str = "") -> None:
        """Take the network's own state dict; raises ValueError naming `origin` where it does not fit.

        Without a state the network is as initialised for training: its curves are zero, and ratios are believed.
        """
        super().__init__(display)
        self.encoder = Encoder()
        self.enter = _layer(3 * FOLD * FOLD + 2 * len(NEAR_WHITE) + 2 * RATIOS, WIDTHS[0])
        self.deepest = _layer(CHANNELS[-1], WIDTHS[-1])
        skipped = (CHANNELS[0] + WIDTHS[0], *CHANNELS[1:-1])
        self.up = nn.ModuleList(_layer(b + skip, a) for (a, b), skip in zip(pairwise(WIDTHS), skipped, strict=True))
        self.leave = Conv(WIDTHS[0], CURVES + 2 * RATIOS, 3)
        self.judge = nn.Sequential(
            nn.Linear(3 * (len(LEVELS) - 1), CONTEXT), nn.ReLU(), nn.Linear(CONTEXT, CONTEXT), nn.ReLU()
        )
        self.tell_deepest = nn.Linear(CONTEXT, 2 * WIDTHS[-1])
        self.tell_last = nn.Linear(CONTEXT, 2 * WIDTHS[0] + CURVES + 2 * RATIOS)
        if state is None:
            for layer in (self.leave, self.tell_deepest, self.tell_last):
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)
        else:
            load_state(self, state, origin)
        self.to(memory_format=torch.channels_last)  # in which convolutions are faster, above all backwards

    def summarise(self, sdr: Tensor) -> Tensor:
        """Return the coefficients of whole frames, N x 32 x cells down x cells across, as many as lie in frames whose
        sides are rounded up to `description.multiple`. Five values of red, of green and of blue over themselves, then
        the same over the smallest; then how many stops red is taken to lie above green, and green above blue.
        """
        height, width = sdr.shape[2:]
        halvings = _halvings(height, width)
        half = _reduce(sdr)
        quarter = _reduce(half)
        seen = half if halvings == 1 else quarter
        for _ in range(halvings - 2):
            seen = _reduce(seen)
        # Fewer bits show in the sky. Training may take them, for it is the mean of many steps.
        fewer = self.training and torch.is_autocast_enabled(sdr.device.type)
        with torch.autocast(sdr.device.type, enabled=fewer):
            coefficients = self._coefficients(seen, self.judge(_distribution(quarter)))
        cell, multiple = FOLD * 2**halvings, self.description.multiple
        return coefficients[..., : round_up(height, multiple) // cell, : round_up(width, multiple) // cell].contiguous()

    def cut(self, summary: Tensor, size: tuple[int, int], rows: slice, columns: slice) -> Tensor:
        cell = size[1] // summary.shape[3]
        down, across = (slice(part.start // cell, part.stop // cell) for part in (rows, columns))
        return summary[..., down, across]

    def forward(self, sdr: Tensor, summary: Tensor | None = None) -> Tensor:
        coefficients = self.summarise(sdr) if summary is None else summary
        reduced = _reduce(sdr)
        if kernels.serves(sdr, coefficients):
            gain = kernels.look_up(coefficients, reduced, KNOTS, (SOFTEST, STRONGEST), _TRUST)
            return kernels.brighten(gain, sdr, (FADE_FROM, FADE_TO), EXPONENTS.get(self.display.eotf, 0.0))
        return self._brighten(_enlarge(_look_up(coefficients, reduced), 2), sdr)

    def at_half_size(self, sdr: Tensor) -> Tensor:
        """Return linear light of `sdr`, N x 3 x H x W, at half its sides: `forward` without enlarging the gain. Losses
        of it take a quarter of the time.
        """
        reduced = _reduce(sdr)
        return self._brighten(_look_up(self.summarise(sdr), reduced), reduced)

    def _coefficients(self, seen: Tensor, context: Tensor) -> Tensor:
        """Return N x 32 x cells down x cells across, rounded up to what the U-Net needs."""
        below, right = (round_up(side, STRIDES[-1]) - side for side in seen.shape[2:])
        seen = F.pad(seen, (0, right, 0, below), mode="replicate")
        ratios, known = carried_ratios(seen, FOLD)
        folded = F.pixel_unshuffle(2.0 * seen - 1.0, FOLD)
        folded = self.enter(torch.cat((folded, _near_white(seen), ratios, known), dim=1))
        finest, *coarser = self.encoder(seen)
        skips = [torch.cat((finest, folded), dim=1), *coarser[:-1]]
        scale, shift = self.tell_deepest(context)[:, :, None, None].chunk(2, dim=1)
        features = self.deepest(coarser[-1]) * (1.0 + scale) + shift
        for stage, skip in zip(reversed(self.up), reversed(skips), strict=True):
            features = F.interpolate(features, scale_factor=2, mode="bilinear")
            features = stage(torch.cat((features, skip), dim=1))
        told = self.tell_last(context)[:, :, None, None]
        scale, shift, told = told.split((WIDTHS[0], WIDTHS[0], CURVES + 2 * RATIOS), dim=1)
        said = _soften((self.leave(features * (1.0 + scale) + shift) + told).float())
        curves, belief, correction = said.split((CURVES, RATIOS, RATIOS), dim=1)
        return torch.cat((curves, (1.0 + belief) * ratios + correction), dim=1)

    def _brighten(self, gain: Tensor, sdr: Tensor) -> Tensor:
        """Return the linearised SDR with the gain in stops, both N x 3 x H x W; as it is where no
        channel is above 0.6.
        """
        fade = ramp(sdr.amax(dim=1, keepdim=True), FADE_FROM, FADE_TO)
        return EOTF[self.display.eotf](sdr) * torch.exp2(gain * (fade * fade * (3.0 - 2.0 * fade)))


def _halvings(height: int, width: int) -> int:
    """Return how often a frame is halved until it is what the network sees: by its size alone, so that a
    clip keeps it.
    """
    return min(max(round(math.log2(min(height, width) / ROWS)), 1), MOST_HALVINGS)


def _near_white(seen: Tensor) -> Tensor:
    """Return how much of each cell passes `NEAR_WHITE`, N x 8 x cells down x cells across: by ramps, of its pixels'
    largest channels and of their smallest.
    """
    guides = torch.stack((seen.amax(dim=1), seen.amin(dim=1)), dim=1)
    return F.avg_pool2d(torch.cat(list(_ramps(guides, NEAR_WHITE)), dim=1), FOLD)


def _ramps(code: Tensor, ends: Iterable[tuple[float, float]]) -> Iterator[Tensor]:
    """For each pair of code values a ramp over `code`."""
    return (ramp(code, low, high) for low, high in ends)


def _distribution(quarter: Tensor) -> Tensor:
    """Return how much of each frame, seen at a quarter of its sides, passes each of `LEVELS`, N x 48 around 0: log2 of
    shares of the pixels' largest, smallest and mean channels.
    """
    values = torch.stack((quarter.amax(dim=1), quarter.amin(dim=1), quarter.mean(dim=1)), dim=1).flatten(2)
    if kernels.serves(values):
        passed = kernels.shares_above(values, LEVELS)
    else:
        # Ramps and not steps: noise must not make a share jump.
        passed = torch.stack([share.mean(dim=2) for share in _ramps(values, pairwise(LEVELS))], dim=2)
    return (passed.flatten(1) + 1e-3).log2() / 5.0 + 1.0


def _reduce(picture: Tensor) -> Tensor:
    """`picture` at half its sides, rounded up."""
    return kernels.reduce(picture) if kernels.serves(picture) else F.avg_pool2d(picture, 2, ceil_mode=True)


def _soften(curves: Tensor) -> Tensor:
    """Return means over 3 x 3 cells, weighted 1 2 1 in each direction: in large clipped areas, where codes say nothing,
    the cells would show as facets.
    """
    return F.avg_pool2d(F.avg_pool2d(F.pad(curves, (1, 1, 1, 1), mode="replicate"), 2, stride=1), 2, stride=1)


def _enlarge(small: Tensor, factor: int) -> Tensor:
    return F.interpolate(small, scale_factor=factor, mode="bilinear")


def _look_up(coefficients: Tensor, reduced: Tensor) -> Tensor:
    """Return the gain in stops, N x 3 x H x W, of a picture of that size and of coefficients N x 32 x cells down x
    cells across.
    """
    enlarged = _enlarge(coefficients, reduced.shape[3] // coefficients.shape[3])
    curves, ratios = enlarged.split((CURVES, RATIOS), dim=1)
    guides = reduced, _smooth(reduced.amin(dim=1, keepdim=True))
    curves = curves.unflatten(1, (len(guides), 3, -1)).unbind(1)
    gain = sum((values * _shares(code)).sum(dim=2) for values, code in zip(curves, guides, strict=True))
    return (gain + told_by_others(reduced, ratios)).clamp(SOFTEST, STRONGEST)


def _shares(code: Tensor) -> Tensor:
    """Return how much each of the `KNOTS` counts at a code value, N x C x 5 x H x W for N x C x H x W: curves are
    straight between them and constant beyond.
    """
    ramps = list(_ramps(code, pairwise(KNOTS)))
    return torch.stack([1.0 - ramps[0], *(below - above for below, above in pairwise(ramps)), ramps[-1]], dim=2)


def _smooth(code: Tensor) -> Tensor:
    """Return means of 3 x 3; the border is repeated. Added up as the C kernel does, for curves are steep near white."""
    sums = F.avg_pool2d(F.pad(code, (1, 1, 1, 1), mode="replicate"), (3, 1), stride=1, divisor_override=1)
    return F.avg_pool2d(sums, (1, 3), stride=1, divisor_override=9)
