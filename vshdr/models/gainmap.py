"""The default network: it looks at the frame small, and acts on it at full size.

A U-Net works on the picture at half its sides, folded to cells of 4 x 4 of those pixels. For every cell it gives each
channel two curves of gain in stops: one over the channel's own code value, one over the pixel's smallest. The curves
are interpolated between cells and looked up at half size, which keeps edges where they are (a bilateral grid, Chen et
al. 2007, Gharbi et al. 2017). The gain is enlarged, faded in towards clipping, and multiplies the linearised SDR at
full size. Where nothing is near clipping the output is the linearised SDR.

The smallest code value is the last to clip: it tells the coloured rim of a lamp, where one channel is clipped, from the
lamp's white middle, which must be lifted more. Without it rims turn to orange rings; with it alone a sunset, where
blue never clips, stays dull. It is the noisiest guide, too, so it is looked up smoothed.

What white means cannot be seen from near by: a grade that rolls highlights off leaves other shares of the frame near
white than one that clips them. So the network is told how the frame's code values are distributed.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vshdr import kernels
from vshdr.colour import EOTF, EXPONENTS
from vshdr.models.contract import Description, Display, Model, load_state

REDUCTION = 2  # pixels, in each direction, that are averaged before the network looks
FOLD = 4  # of the reduced pixels per cell, in each direction
WIDTHS = (32, 48, 64, 96)  # channels of the U-Net at 1/8, 1/16, 1/32 and 1/64 of the frame's sides
KNOTS = (0.6, 0.8, 0.92, 1.0)  # code values at which curves are given; straight between, constant below
CURVES = 6 * len(KNOTS)  # coefficients of a cell
SOFTEST, STRONGEST = -2.0, 7.0  # bounds of the gain in stops; without them training can run away to infinity
FADE_FROM, FADE_TO = 0.6, 0.98  # code values of the largest channel between which the gain fades in
LEVELS = (0.2, 0.35, 0.5, 0.6, 0.68, 0.75, 0.81, 0.86, 0.9, 0.93, 0.95, 0.965, 0.977, 0.986, 0.993, 0.998, 1.0)
"""Code values whose distribution over the frame is told to the network, closest where highlights roll off."""
CONTEXT = 64  # numbers that say what the distribution means


class _Conv(nn.Conv2d):
    """3 x 3, with the border repeated beyond the frame: zeros would be a dark rim to the network, and show as a line
    along the border of bright skies.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, 3, stride)

    def forward(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):  # which would take it to float32 and back
            padded = F.pad(features, (1, 1, 1, 1), mode="replicate")
        return super().forward(padded)


def _layer(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(_Conv(inputs, outputs, stride), nn.ReLU(inplace=True))


class GainMap(Model):
    """24 coefficients per cell: two curves per channel, each the gain in stops at the four `KNOTS`."""

    description = Description(
        name="gainmap",
        summary="Keeps the grade and restores clipped highlights from their surroundings, quietly over time.",
        source="vshdr",
        multiple=64,
        context=384,
        whole_frame=True,
        weights=("gainmap",),
        precision="fp16",
        cpu_precision="bf16",
    )

    def __init__(self, display: Display, state: dict[str, Tensor] | None = None, origin: str = "") -> None:
        """Takes the network's own state dict; raises ValueError naming `origin` where it does not fit.

        Without a state the network is as initialised for training: its gain is zero everywhere.
        """
        super().__init__(display)
        self.enter = _layer(3 * FOLD * FOLD, WIDTHS[0])
        self.down = nn.ModuleList(nn.Sequential(_layer(a, b, stride=2), _layer(b, b)) for a, b in pairwise(WIDTHS))
        self.up = nn.ModuleList(_layer(b + a, a) for a, b in pairwise(WIDTHS))
        self.leave = _Conv(WIDTHS[0], CURVES)
        self.judge = nn.Sequential(
            nn.Linear(3 * (len(LEVELS) - 1), CONTEXT), nn.ReLU(), nn.Linear(CONTEXT, CONTEXT), nn.ReLU()
        )
        self.tell_deepest = nn.Linear(CONTEXT, 2 * WIDTHS[-1])
        self.tell_last = nn.Linear(CONTEXT, 2 * WIDTHS[0] + CURVES)
        if state is None:
            for layer in (self.leave, self.tell_deepest, self.tell_last):
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)
        else:
            load_state(self, state, origin)
        self.to(memory_format=torch.channels_last)  # what convolutions work on, without turning their input and output

    def summarise(self, sdr: Tensor) -> Tensor:
        """What the distribution of code values in whole frames means, N x 64."""
        return self.judge(_distribution(sdr))

    def forward(self, sdr: Tensor, summary: Tensor | None = None) -> Tensor:
        reduced = _reduce(sdr)
        coefficients = self._coefficients(reduced, self.summarise(sdr) if summary is None else summary).float()
        if kernels.serves(sdr):
            gain = kernels.look_up(coefficients, reduced, KNOTS, (SOFTEST, STRONGEST))
            return kernels.brighten(gain, sdr, (FADE_FROM, FADE_TO), EXPONENTS.get(self.display.eotf, 0.0))
        smallest = F.pad(reduced.amin(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate")
        smallest = F.avg_pool2d(smallest, 3, stride=1)
        gain = _look_up_both(_enlarge(coefficients, FOLD), reduced, smallest)
        return self._brighten(_enlarge(gain, REDUCTION), sdr)

    def _coefficients(self, reduced: Tensor, summary: Tensor) -> Tensor:
        """N x 24 x H/8 x W/8: four values of red, of green and of blue over themselves, the same over the smallest."""
        features = self.enter(_fold(reduced))
        skips = []
        for stage in self.down:
            skips.append(features)
            features = stage(features)
        scale, shift = self.tell_deepest(summary)[:, :, None, None].chunk(2, dim=1)
        features = features * (1.0 + scale) + shift
        for stage, skip in zip(reversed(self.up), reversed(skips), strict=True):
            features = F.interpolate(features, scale_factor=2, mode="bilinear")
            features = stage(torch.cat([features, skip], dim=1))
        told = self.tell_last(summary)[:, :, None, None]
        scale, shift, curves = told.split((WIDTHS[0], WIDTHS[0], CURVES), dim=1)
        return self.leave(features * (1.0 + scale) + shift) + curves

    def _brighten(self, gain: Tensor, sdr: Tensor) -> Tensor:
        """The linearised SDR with the gain in stops, both N x 3 x H x W; as it is where no channel is above 0.6."""
        fade = ((sdr.amax(dim=1, keepdim=True) - FADE_FROM) / (FADE_TO - FADE_FROM)).clamp(0.0, 1.0)
        return EOTF[self.display.eotf](sdr) * torch.exp2(gain * (fade * fade * (3.0 - 2.0 * fade)))


def _distribution(sdr: Tensor) -> Tensor:
    """How much of each frame passes each of `LEVELS`, N x 48 around 0: log2 of shares of the pixels' largest, smallest
    and mean channels, at a quarter of the frame's sides.
    """
    seen = _reduce(_reduce(sdr))
    values = torch.stack((seen.amax(dim=1), seen.amin(dim=1), seen.mean(dim=1)), dim=1).flatten(2)
    if kernels.serves(values):
        passed = kernels.shares_above(values, LEVELS)
    else:
        # Ramps and not steps: noise must not make a share jump.
        ramps = [((values - low) / (high - low)).clamp(0.0, 1.0).mean(dim=2) for low, high in pairwise(LEVELS)]
        passed = torch.stack(ramps, dim=2)
    return (passed.flatten(1) + 1e-3).log2() / 5.0 + 1.0


def _fold(reduced: Tensor) -> Tensor:
    """`F.pixel_unshuffle(reduced, FOLD)` with the channels last in memory, in one copy."""
    cells = reduced.unflatten(3, (-1, FOLD)).unflatten(2, (-1, FOLD))
    return cells.permute(0, 2, 4, 1, 3, 5).flatten(3).permute(0, 3, 1, 2)


def _reduce(sdr: Tensor) -> Tensor:
    """`sdr` at half its sides."""
    return kernels.reduce(sdr) if kernels.serves(sdr) else F.avg_pool2d(sdr, REDUCTION, ceil_mode=True)


def _enlarge(small: Tensor, factor: int) -> Tensor:
    return F.interpolate(small, scale_factor=factor, mode="bilinear")


def _look_up_both(curves: Tensor, code: Tensor, smallest: Tensor) -> Tensor:
    """The gain in stops, N x 3 x H x W, of coefficients N x 24 x H x W at the channels' codes and the smallest."""
    over_own, over_smallest = curves.unflatten(1, (2, 3, len(KNOTS))).unbind(1)
    return (_look_up(over_own, code) + _look_up(over_smallest, smallest)).clamp(SOFTEST, STRONGEST)


def _look_up(curves: Tensor, code: Tensor) -> Tensor:
    """Piecewise linear curves (N x 3 x 4 x H x W, values at `KNOTS`) at `code` (N x 3 or 1 x H x W), N x 3 x H x W."""
    value = curves[:, :, 0]
    for place, (start, end) in enumerate(pairwise(KNOTS)):
        share = ((code - start) / (end - start)).clamp(0.0, 1.0)
        value = torch.lerp(value, curves[:, :, place + 1], share)
    return value
