"""The default network: it looks at the frame small, and acts on it at full size.

A U-Net with a view of the whole frame works on the picture folded to a quarter of its sides. For every cell of 4 x 4
pixels it gives each channel two curves of gain in stops: one over the channel's own code value, one over the pixel's
smallest. At full size the curves are interpolated between cells and looked up, which keeps edges where they are (a
bilateral grid, Chen et al. 2007, Gharbi et al. 2017). The gain multiplies the linearised SDR, faded in towards
clipping. Where nothing is near clipping the output is the linearised SDR.

The smallest code value is the last to clip: it tells the coloured rim of a lamp, where one channel is clipped, from the
lamp's white middle, which must be lifted more. Without it rims turn to orange rings; with it alone a sunset, where
blue never clips, stays dull.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vshdr.colour import EOTF
from vshdr.models.contract import Description, Display, Model, load_state

FOLD = 4  # pixels per cell, in each direction
WIDTHS = (32, 48, 64, 96)  # channels of the U-Net at 1/4, 1/8, 1/16 and 1/32 of the frame's sides
GLANCE = 64  # side of the square that the whole frame is averaged to for the global branch
CONTEXT_CHANNELS = 64  # what the global branch says of the frame
KNOTS = (0.6, 0.8, 0.92, 1.0)  # code values at which curves are given; straight between, constant below
SOFTEST, STRONGEST = -2.0, 7.0  # bounds of the gain in stops; without them training can run away to infinity
STRIP = 16  # rows that the full-size step takes at a time on a CPU, so that they stay in its caches; a multiple of FOLD
FADE_FROM, FADE_TO = 0.6, 0.98  # code values of the largest channel between which the gain fades in


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    # Zeros beyond the frame would be a dark rim to the network, and show as a line along the border of bright skies.
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, padding_mode="replicate"), nn.ReLU(inplace=True))


class GainMap(Model):
    """24 coefficients per cell: two curves per channel, each the gain in stops at the four `KNOTS`."""

    description = Description(
        name="gainmap",
        summary="Keeps the grade and restores clipped highlights from their surroundings, quietly over time.",
        source="vshdr",
        multiple=32,
        context=192,
        whole_frame=True,
        weights=("gainmap",),
        precision="fp16",
    )

    def __init__(self, display: Display, state: dict[str, Tensor] | None = None, origin: str = "") -> None:
        """Takes the network's own state dict; raises ValueError naming `origin` where it does not fit.

        Without a state the network is as initialised for training: its gain is zero everywhere.
        """
        super().__init__(display)
        self.enter = _conv(3 * FOLD * FOLD, WIDTHS[0])
        self.down = nn.ModuleList(
            nn.Sequential(_conv(a, b, stride=2), _conv(b, b)) for a, b in zip(WIDTHS, WIDTHS[1:], strict=False)
        )
        self.up = nn.ModuleList(_conv(b + a, a) for a, b in zip(WIDTHS, WIDTHS[1:], strict=False))
        self.leave = nn.Conv2d(WIDTHS[0], 6 * len(KNOTS), 3, padding=1, padding_mode="replicate")
        self.glance = nn.Sequential(
            _conv(3, 16, stride=2),
            _conv(16, 32, stride=2),
            _conv(32, 64, stride=2),
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(64, CONTEXT_CHANNELS, 1),
            nn.ReLU(inplace=True),
        )
        self.tell = nn.Conv2d(CONTEXT_CHANNELS, 2 * WIDTHS[-1], 1)
        if state is None:
            nn.init.zeros_(self.leave.weight)
            nn.init.zeros_(self.leave.bias)
            nn.init.zeros_(self.tell.weight)
            nn.init.zeros_(self.tell.bias)
        else:
            load_state(self, state, origin)

    def summarise(self, sdr: Tensor) -> Tensor:
        """What the global branch says of whole frames, N x 64 x 1 x 1."""
        return self.glance(F.adaptive_avg_pool2d(sdr, GLANCE))

    def forward(self, sdr: Tensor, summary: Tensor | None = None) -> Tensor:
        coefficients = self._coefficients(sdr, self.summarise(sdr) if summary is None else summary).float()
        beyond = F.pad(coefficients, (0, 0, 1, 1), mode="replicate")  # what a strip's interpolation sees around it
        height = sdr.shape[2]
        rows = STRIP if sdr.device.type == "cpu" and not torch.is_grad_enabled() else height
        light = []
        for top in range(0, height, rows):
            strip = sdr[:, :, top : top + rows]
            cells = beyond[:, :, top // FOLD : (top + strip.shape[2]) // FOLD + 2]
            grid = F.interpolate(cells, scale_factor=FOLD, mode="bilinear")[:, :, FOLD:-FOLD]
            light.append(EOTF[self.display.eotf](strip) * torch.exp2(_gain(grid, strip)))
        return light[0] if len(light) == 1 else torch.cat(light, dim=2)

    def _coefficients(self, sdr: Tensor, summary: Tensor) -> Tensor:
        """N x 24 x H/4 x W/4: four values of red, of green and of blue over themselves, the same over the smallest."""
        features = self.enter(F.pixel_unshuffle(sdr, FOLD))
        skips = []
        for stage in self.down:
            skips.append(features)
            features = stage(features)
        scale, shift = self.tell(summary).chunk(2, dim=1)
        features = features * (1.0 + scale) + shift
        for stage, skip in zip(reversed(self.up), reversed(skips), strict=True):
            features = F.interpolate(features, scale_factor=2, mode="bilinear")
            features = stage(torch.cat([features, skip], dim=1))
        return self.leave(features)


def _gain(grid: Tensor, sdr: Tensor) -> Tensor:
    """The gain in stops, N x 3 x H x W, of coefficients N x 24 x H x W; zero where no channel is above 0.6."""
    over_own, over_smallest = grid.unflatten(1, (2, 3, len(KNOTS))).unbind(1)
    gain = _look_up(over_own, sdr) + _look_up(over_smallest, sdr.amin(dim=1, keepdim=True))
    gain = gain.clamp(SOFTEST, STRONGEST)
    fade = ((sdr.amax(dim=1, keepdim=True) - FADE_FROM) / (FADE_TO - FADE_FROM)).clamp(0.0, 1.0)
    return gain * (fade * fade * (3.0 - 2.0 * fade))


def _look_up(curves: Tensor, code: Tensor) -> Tensor:
    """Piecewise linear curves (N x 3 x 4 x H x W, values at `KNOTS`) at `code` (N x 3 or 1 x H x W), N x 3 x H x W."""
    value = curves[:, :, 0]
    for place, (start, end) in enumerate(zip(KNOTS, KNOTS[1:], strict=False)):
        share = ((code - start) / (end - start)).clamp(0.0, 1.0)
        value = torch.lerp(value, curves[:, :, place + 1], share)
    return value
