"""The default network: it looks at a small picture of the frame, and acts on the frame at full size.

A U-Net sees the whole frame at about 135 rows, however large the frame is. Its backbone knows from ImageNet what things
look like. For every cell of 4 x 4 pixels of what it sees, the U-Net gives each channel two curves of the gain in stops:
one over the channel's own code value, and one over the pixel's smallest code value. The curves are interpolated between
cells and looked up at half the frame's size, which keeps edges where they are (a bilateral grid, Chen et al. 2007,
Gharbi et al. 2017). The gain is enlarged, faded in towards clipping, and applied to the linearised SDR at full size.
Where nothing is near clipping, the output is the linearised SDR.

Why two curves: the smallest code value distinguishes a lamp's white middle, which needs more gain, from its coloured
rim. Without it, rims turn into orange rings. With it alone, a sunset stays dull, because its blue never clips. The
smallest code value is noisy, so it is smoothed before it is looked up.

What one channel lost by clipping can be told from the other channels, if the colour of the light is known. `ratios.py`
estimates that colour from places nearby where nothing has clipped, and the U-Net says per cell how far to trust it.

What white means cannot be seen locally: a grade that rolls highlights off leaves other shares of the frame near white
than one that clips them. So the network is also given the distribution of the frame's code values.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vshdr import kernels
from vshdr.colour.masks import ramp
from vshdr.colour.transfer import EOTF, EXPONENTS
from vshdr.models.backbone import CHANNELS, STRIDES, Backbone, Conv, published
from vshdr.models.cards import Card, Recipe
from vshdr.models.contract import Display, Domain, Model, ParameterGroup, renamed, round_up
from vshdr.models.layers import zero_bias
from vshdr.models.ratios import BELIEVED, DARKEST, EXPONENT, carried_ratios, told_by_others
from vshdr.weights.entries import PACKAGED, Packaged

ROWS = 135  # shorter side of what the network sees of a frame, within a factor of the square root of 2
MOST_HALVINGS = 4  # from the frame to what the network sees; at least one, and four for 2160 rows
FOLD = STRIDES[0]  # pixels of what the network sees per cell, in each direction
WIDTHS = (32, 48, 64, 96)  # channels of the decoder, for each size of the backbone's features
KNOTS = (0.6, 0.8, 0.92, 0.98, 1.0)  # code values at which curves are given; linear between, constant below
CURVES = 6 * len(KNOTS)  # values of a cell's curves
RATIOS = 2  # red to green and green to blue; a cell scales the trust in each, and adds a correction
SOFTEST, STRONGEST = -2.0, 7.0  # bounds of the gain in stops; without them training can diverge
FADE_FROM, FADE_TO = 0.6, 0.98  # code values of the largest channel between which the gain fades in
LEVELS = (0.2, 0.35, 0.5, 0.6, 0.68, 0.75, 0.81, 0.86, 0.9, 0.93, 0.95, 0.965, 0.977, 0.986, 0.993, 0.998, 1.0)
"""Code values that divide the distribution given to the network, closest where highlights roll off."""
CONTEXT = 64  # features into which the distribution is condensed
NEAR_WHITE = ((0.6, 0.9), (0.85, 0.98), (0.96, 1.0), (0.985, 1.0))
"""Ramps over code values. The U-Net is given how much of a cell passes each. It could compute that from the code
values, but takes long to learn it."""
LEAK = 0.1  # slope of rectifiers below zero; plain rectifiers die in training until the output is constant
BACKBONE_RATE_FACTOR = 0.05
"""Factor of the learning rate for the backbone: few scenes should not make it forget ImageNet."""
_TRUST = kernels.Trust(*BELIEVED, EXPONENT, DARKEST)
_COARSEST = FOLD * 2**MOST_HALVINGS  # pixels of the largest cells

_RECIPE = Recipe(
    loss="highlight",
    stability="highlight",
    rate=2e-3,
    schedule="cosine",
    batch=16,
    size=(256, 256),
    epochs=40,
    epoch=500,
    ema=0.999,
    clip=1.0,
    turned=0.25,
)


def _layer(inputs: int, outputs: int) -> nn.Sequential:
    """Return a rectified 3 x 3 convolution, initialised to keep the variance of its input (He et al. 2015)."""
    convolution = Conv(inputs, outputs, 3)
    nn.init.kaiming_normal_(convolution.weight, a=LEAK)
    zero_bias(convolution)
    return nn.Sequential(convolution, nn.LeakyReLU(LEAK, inplace=True))


class GainMap(Model):
    """32 coefficients per cell: two curves per channel, each the gain in stops at the five `KNOTS`, and two ratios.

    Untrained, its curves are zero, and ratios are trusted.
    """

    card: ClassVar[Card] = Card(
        name="gainmap",
        summary="Keeps the grade and restores clipped highlights from their surroundings, quietly over time.",
        source="vshdr",
        multiple=_COARSEST,
        context=_COARSEST,
        whole_frame=True,
        weights=(
            Packaged(
                name="gainmap",
                file=PACKAGED / "gainmap.safetensors",
                licence="BSD-3-Clause AND Apache-2.0 (its backbone was trained on from EfficientNet-Lite2)",
                source="vshdr; the backbone from EfficientNet-Lite2, Google 2020",
                summary="vshdr's own, what gainmap takes unless it is told otherwise",
            ),
        ),
        recipes={
            "reconstruction": _RECIPE,
            "stability": dataclasses.replace(_RECIPE, rate=1e-3, batch=8, epochs=10),
        },
    )

    def __init__(self, display: Display) -> None:
        super().__init__(display)
        self.backbone: Backbone = Backbone()
        self.enter = _layer(3 * FOLD * FOLD + 2 * len(NEAR_WHITE) + 2 * RATIOS, WIDTHS[0])
        self.deepest = _layer(CHANNELS[-1], WIDTHS[-1])
        skipped = (CHANNELS[0] + WIDTHS[0], *CHANNELS[1:-1])
        self.up = nn.ModuleList(_layer(b + skip, a) for (a, b), skip in zip(pairwise(WIDTHS), skipped, strict=True))
        self.leave: Conv = Conv(WIDTHS[0], CURVES + 2 * RATIOS, 3)
        self.judge = nn.Sequential(
            nn.Linear(3 * (len(LEVELS) - 1), CONTEXT), nn.ReLU(), nn.Linear(CONTEXT, CONTEXT), nn.ReLU()
        )
        self.tell_deepest = nn.Linear(CONTEXT, 2 * WIDTHS[-1])
        self.tell_last = nn.Linear(CONTEXT, 2 * WIDTHS[0] + CURVES + 2 * RATIOS)
        for layer in (self.leave, self.tell_deepest, self.tell_last):
            nn.init.zeros_(layer.weight)
            zero_bias(layer)
        self.to(memory_format=torch.channels_last)  # convolutions are faster, above all their gradients

    def summarise(self, sdr: Tensor) -> Tensor:
        """Return the coefficients of whole frames, N x 32 x cells down x cells across.

        The cells cover the frame with its sides rounded up to `card.multiple`. The 32 coefficients are the gain at the
        five knots for red, green and blue, over the channel's own code value; the same over the smallest code value;
        and how many stops red lies above green, and green above blue.
        """
        height, width = sdr.shape[2:]
        halvings = _halvings(height, width)
        half = _reduce(sdr)
        quarter = _reduce(half)
        seen = half if halvings == 1 else quarter
        for _ in range(halvings - 2):
            seen = _reduce(seen)
        # Half precision would show in skies. In training it does no harm, as errors average out over many steps.
        fewer = self.training and torch.is_autocast_enabled(sdr.device.type)
        with torch.autocast(sdr.device.type, enabled=fewer):
            coefficients = self._coefficients(seen, self.judge(_distribution(quarter)))
        cell, multiple = FOLD * 2**halvings, self.card.multiple
        return coefficients[..., : round_up(height, multiple) // cell, : round_up(width, multiple) // cell].contiguous()

    def cut(self, summary: Tensor | None, size: tuple[int, int], rows: slice, columns: slice) -> Tensor | None:
        if summary is None:
            return None
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

    def training_output(self, sdr: Tensor) -> tuple[Tensor, Domain]:
        """Return linear light at half the sides of `sdr`: `forward` without enlarging the gain.

        Losses of it take a quarter of the time.
        """
        reduced = _reduce(sdr)
        return self._brighten(_look_up(self.summarise(sdr), reduced), reduced), "linear"

    def parameter_groups(self) -> list[ParameterGroup]:
        backbone = list(self.backbone.parameters())
        known = {id(parameter) for parameter in backbone}
        others = [item for item in self.parameters() if item.requires_grad and id(item) not in known]
        return [
            ParameterGroup(parameters=others),
            ParameterGroup(parameters=backbone, rate_factor=BACKBONE_RATE_FACTOR),
        ]

    def freeze_for(self, phase: str) -> None:
        """In the stability phase, freeze the layers that see the frame's distribution of code values as a whole.

        A stability term falls when pictures get darker, too, because darker highlights flicker less. These layers set
        the brightness of whole frames, above all where a grade has put white far below the true light, so they would
        learn that easy way. Noise hardly changes what they see, so the term has nothing else to teach them.
        """
        if phase == "stability":
            for part in (self.judge, self.tell_deepest, self.tell_last):
                part.requires_grad_(False)

    def load_pretrained_backbone(self) -> None:
        self.backbone.take_published(published())

    def from_published(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return renamed(state, "encoder.", "backbone.")  # as earlier versions named it

    def _coefficients(self, seen: Tensor, context: Tensor) -> Tensor:
        """Return the coefficients of the picture `seen`, whose sides are rounded up to what the U-Net needs."""
        below, right = (round_up(side, STRIDES[-1]) - side for side in seen.shape[2:])
        seen = F.pad(seen, (0, right, 0, below), mode="replicate")
        ratios, known = carried_ratios(seen, FOLD)
        folded = F.pixel_unshuffle(2.0 * seen - 1.0, FOLD)
        folded = self.enter(torch.cat((folded, _near_white(seen), ratios, known), dim=1))
        finest, *coarser = self.backbone(seen)
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
        """Return the linearised SDR with `gain` in stops applied, N x 3 x H x W each.

        Where no channel is above `FADE_FROM`, the gain has no effect.
        """
        fade = ramp(sdr.amax(dim=1, keepdim=True), FADE_FROM, FADE_TO)
        return EOTF[self.display.eotf](sdr) * torch.exp2(gain * (fade * fade * (3.0 - 2.0 * fade)))


def _halvings(height: int, width: int) -> int:
    """Return how often a frame is halved until it has the size that the network sees.

    It depends on the frame's size alone, so that it is the same for all frames of a clip.
    """
    return min(max(round(math.log2(min(height, width) / ROWS)), 1), MOST_HALVINGS)


def _near_white(seen: Tensor) -> Tensor:
    """Return how much of each cell passes the ramps `NEAR_WHITE`, N x 8 x cells down x cells across: for its pixels'
    largest channels, and for their smallest.
    """
    guides = torch.stack((seen.amax(dim=1), seen.amin(dim=1)), dim=1)
    return F.avg_pool2d(torch.cat(list(_ramps(guides, NEAR_WHITE)), dim=1), FOLD)


def _ramps(code: Tensor, ends: Iterable[tuple[float, float]]) -> Iterator[Tensor]:
    """Yield a ramp over `code` for each pair of code values."""
    for low, high in ends:
        yield ramp(code, low, high)


def _distribution(quarter: Tensor) -> Tensor:
    """Return how the code values of frames are distributed, N x 48, around 0.

    These are logarithms of the shares of pixels whose largest, smallest and mean channel pass each of `LEVELS`.
    `quarter` is the frames at a quarter of their sides.
    """
    values = torch.stack((quarter.amax(dim=1), quarter.amin(dim=1), quarter.mean(dim=1)), dim=1).flatten(2)
    if kernels.serves(values):
        passed = kernels.shares_above(values, LEVELS)
    else:
        # Ramps instead of steps, so that noise does not make a share jump.
        passed = torch.stack([share.mean(dim=2) for share in _ramps(values, pairwise(LEVELS))], dim=2)
    return (passed.flatten(1) + 1e-3).log2() / 5.0 + 1.0


def _reduce(picture: Tensor) -> Tensor:
    """Return `picture` at half its sides, rounded up."""
    return kernels.reduce(picture) if kernels.serves(picture) else F.avg_pool2d(picture, 2, ceil_mode=True)


def _soften(curves: Tensor) -> Tensor:
    """Return means over 3 x 3 cells, weighted 1 2 1 in each direction. Without them, cells would show as facets in
    large clipped areas, where code values are constant.
    """
    return F.avg_pool2d(F.avg_pool2d(F.pad(curves, (1, 1, 1, 1), mode="replicate"), 2, stride=1), 2, stride=1)


def _enlarge(small: Tensor, factor: int) -> Tensor:
    return F.interpolate(small, scale_factor=factor, mode="bilinear")


def _look_up(coefficients: Tensor, reduced: Tensor) -> Tensor:
    """Return the gain in stops, N x 3 x H x W.

    `reduced` is code values N x 3 x H x W, `coefficients` N x 32 x cells down x cells across, as of
    `GainMap.summarise`.
    """
    enlarged = _enlarge(coefficients, reduced.shape[3] // coefficients.shape[3])
    curves, ratios = enlarged.split((CURVES, RATIOS), dim=1)
    guides = reduced, _smooth(reduced.amin(dim=1, keepdim=True))
    curves = curves.unflatten(1, (len(guides), 3, -1)).unbind(1)
    gain = sum((values * _shares(code)).sum(dim=2) for values, code in zip(curves, guides, strict=True))
    return (gain + told_by_others(reduced, ratios)).clamp(SOFTEST, STRONGEST)


def _shares(code: Tensor) -> Tensor:
    """Return the weight of each of the `KNOTS` at a code value, N x C x 5 x H x W for N x C x H x W.

    Curves are linear between the knots and constant beyond them.
    """
    ramps = list(_ramps(code, pairwise(KNOTS)))
    return torch.stack([1.0 - ramps[0], *(below - above for below, above in pairwise(ramps)), ramps[-1]], dim=2)


def _smooth(code: Tensor) -> Tensor:
    """Return means of 3 x 3 pixels, with the border repeated.

    The sum is taken in the order of the C kernel, because curves are steep near white and rounding would show.
    """
    sums = F.avg_pool2d(F.pad(code, (1, 1, 1, 1), mode="replicate"), (3, 1), stride=1, divisor_override=1)
    return F.avg_pool2d(sums, (1, 3), stride=1, divisor_override=9)
