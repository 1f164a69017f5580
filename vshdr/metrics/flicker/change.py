"""What changes from one frame to the next along the motion: of light, and of the gain that an expansion adds.

All flicker metrics are read off a `Change`. Its centre is the gain, G = log2 (HDR / linearised SDR): film grain, motion
and lighting are in the HDR and in the SDR alike and cancel, and a factor on all of the HDR is the same in each frame
and cancels, too. What is left is what the expansion itself does from frame to frame.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from vshdr.colour.primaries import luminance
from vshdr.colour.transfer import INVERSE_EOTF
from vshdr.metrics.flicker.equivariance import warp
from vshdr.metrics.flicker.motion import SMALLEST, STILL, Motion
from vshdr.metrics.pu21 import pu21_encode
from vshdr.metrics.stops import stops

FLOOR = 2.0**-10
"""Added to luminance before its logarithm; a stop is short by a ninth where it is darkest, see `DARK`."""
DARK = 2.0**-7
"""Luminance of the source, 1.0 = SDR white, below which pixels do not count: 8-bit video has few codes there."""
HIGHLIGHT = 0.9**2.4
"""Largest of R, G and B of the source, linear, from which on a pixel is a highlight: 0.9 as a code of BT.1886."""
WHITE = 203.0
"""Nits of SDR white, for what depends on them."""
_TOLERANCE = 0.02  # stops that an uncertain place may bring in before the pixel counts half
_MIDDLE_GREY = 0.18
CELLS = 16
"""Square cells across the picture, for what is said of its parts."""
_FEWEST_PIXELS, _NO_VARIANCE = 8, 1e-12  # along a cell's side; of changes in squared stops
_FEWEST = 0.01  # share of the picture that has to be neither dark nor bright, to tell how bright it is


class Light(NamedTuple):
    """Luminance of one frame, 1 x 1 x H x W, in the two scales that changes are measured in."""

    stops: Tensor
    """log2 (Y + 2^-10), 1.0 = SDR white."""
    pu21: Tensor
    """PU21 units, SDR white at 203 nits."""


class Reference(NamedTuple):
    """What a frame is held against."""

    light: Light
    """Of the source; zero everywhere where there is none."""
    lit: Tensor
    """1 x 1 x H x W bool: bright enough to count."""
    highlight: Tensor
    """1 x 1 x H x W bool: at or near the source's maximum."""
    guide: Tensor
    """1 x 1 x H x W: luma codes in [0, 1] of the picture that motion is followed in."""


class Change(NamedTuple):
    """From the frame before to this one, along the motion. Tensors are 1 x 1 x H x W."""

    gain: Tensor
    """Change of the gain in stops; without a source, of the light."""
    gain_pu21: Tensor
    """The same in PU21 units."""
    light: Tensor
    """Change of the light in stops, whatever its cause."""
    light_pu21: Tensor
    """The same in PU21 units."""
    weight: Tensor
    """0 to 1: how much a pixel counts. 0 for what was hidden or is dark, less than 1 where the motion is not known well
    enough for a picture with such edges.
    """
    highlight: Tensor
    """Bool: a highlight in this frame or in the one before."""
    still: Tensor
    """Bool: moves by less than a quarter of a pixel."""
    before: Light
    """The frame before, sampled at the nearest pixel of each pixel's place: nothing is blurred."""
    reference_before: Light
    """The same of the reference."""


def light_of(linear: Tensor) -> Light:
    """Return linear light 1 x 3 x H x W, BT.709, 1.0 = SDR white."""
    return Light(stops(linear.clamp_min(0.0), FLOOR), pu21_encode(luminance(linear) * WHITE))


def from_source(linear: Tensor) -> Reference:
    """Return the reference that linearised SDR, 1 x 3 x H x W in 0..1, is."""
    grey = luminance(linear).clamp(0.0, 1.0)
    highlight = linear.amax(dim=1, keepdim=True) >= HIGHLIGHT
    return Reference(light_of(linear), grey >= DARK, highlight, INVERSE_EOTF["bt1886"](grey))


def from_itself(linear: Tensor) -> Reference:
    """Return the reference of a clip without a source: nothing to subtract, and what Reinhard et al. 2002 make of the
    clip (eq. 3, Y / (1 + Y)) to follow motion in. Highlights are what is brighter than 1.0.
    """
    grey = luminance(linear).clamp_min(0.0)
    nothing = torch.zeros_like(grey)
    return Reference(Light(nothing, nothing), grey >= DARK, grey > 1.0, INVERSE_EOTF["bt1886"](grey / (1.0 + grey)))


def scale_to(linear: Tensor, source: Tensor | None) -> float | None:
    """Return the factor by which a clip has to be multiplied to have the source's mid-tones, or without a source a
    geometric mean of middle grey (Reinhard et al. 2002, eq. 1 and 2), from one frame of each, 1 x 3 x H x W. None for a
    frame that is too dark to tell; 1 for a clip that is black where its source is not.
    """
    light = luminance(linear)
    ground = light if source is None else luminance(source)
    middle = light > 0.0 if source is None else (ground >= DARK) & (ground <= 0.5)
    if middle.float().mean() < _FEWEST:
        return None
    if source is None:
        return _MIDDLE_GREY / math.exp(float(light[middle].log().mean()))
    level = float((light[middle] / ground[middle]).median())
    return 1.0 / level if level > 0.0 else 1.0


def change(now: Light, before: Light, reference: Reference, reference_before: Reference, motion: Motion) -> Change:
    """Return the change between two frames of a clip and of its reference.

    D X(p) = X(p) - X'(w(p)) for each quantity X, X' being the frame before and w the motion: the warped difference of
    Lai et al., "Learning Blind Video Temporal Consistency", ECCV 2018, taken in log luminance. The gain's is
    D X - b D S, where S is the source and b, 0 to 1, the share of the source's changes that the clip has kept (least
    squares over each of 16 cells across the picture): 1 for an expansion, less where grain or the steps of 8-bit codes
    were taken away, which is no flicker.
    """
    theirs, theirs_before = reference.light, reference_before.light
    lit_before, highlight_before = reference_before.lit.float(), reference_before.highlight.float()
    stack = torch.cat((*before, *theirs_before, lit_before, highlight_before), dim=1)
    gone = warp(stack, motion.grid).split(1, dim=1)
    nearest = torch.cat((*before, *theirs_before), dim=1)
    nearest = functional.grid_sample(nearest, motion.grid, mode="nearest", align_corners=False).split(1, dim=1)
    weight = (motion.visible & reference.lit & (gone[4] > 0.999)) * _confidence(now.stops - theirs.stops, motion)
    light, light_pu21 = now.stops - gone[0], now.pu21 - gone[1]
    return Change(
        gain=_beyond(light, theirs.stops - gone[2], weight),
        gain_pu21=_beyond(light_pu21, theirs.pu21 - gone[3], weight),
        light=light,
        light_pu21=light_pu21,
        weight=weight,
        highlight=reference.highlight | (gone[5] > 0.5),
        still=motion.speed < STILL,
        before=Light(*nearest[:2]),
        reference_before=Light(*nearest[2:]),
    )


def averaged_down(light: Tensor, width: int, height: int = 0) -> Tensor:
    """Return 1 x C x H x W averaged to `width` pixels and, unless a height is given, in proportion; as it is where it
    is no wider. Metrics are taken there: sampling noise of single pixels is not what flickers.
    """
    if light.shape[3] <= width:
        return light
    height = height or max(SMALLEST, round(light.shape[2] * width / light.shape[3]))
    return functional.interpolate(light, (height, width), mode="area")


def mean(values: Tensor, weight: Tensor) -> float:
    """Return the weighted mean, NaN where nothing has weight."""
    total = float(weight.sum(dtype=torch.float64))
    return float((values * weight).sum(dtype=torch.float64)) / total if total > 0.0 else math.nan


def _beyond(change: Tensor, source: Tensor, weight: Tensor) -> Tensor:
    """`change` less the share of the source's that is found in it."""
    size = max(_FEWEST_PIXELS, weight.shape[3] // CELLS)

    def over_cells(values: Tensor) -> Tensor:
        return functional.avg_pool2d(values * weight, size, ceil_mode=True) / total

    total = functional.avg_pool2d(weight, size, ceil_mode=True).clamp_min(1e-6)
    level, level_there = over_cells(change), over_cells(source)
    variance = over_cells(source.square()) - level_there.square()
    together = over_cells(change * source) - level * level_there
    share = torch.where(variance > _NO_VARIANCE, together / variance.clamp_min(_NO_VARIANCE), 1.0).clamp(0.0, 1.0)
    share = functional.interpolate(share, scale_factor=size)[..., : change.shape[2], : change.shape[3]]
    return change - share * source


def _confidence(gain: Tensor, motion: Motion) -> Tensor:
    """Return 1 / (1 + (e / 0.02)^2), where e is the change in stops that a wrong place would look like.

    A place that is off by d pixels brings in d |grad G|, and looking between pixels, x and y from the nearest ones,
    x (1 - x) / 2 |G_xx| + y (1 - y) / 2 |G_yy|: the error of linear interpolation. G is averaged over 3 x 3 pixels
    first, so that noise is not taken for edges.
    """
    padded = functional.pad(gain, (2, 2, 2, 2), mode="replicate")
    smooth = functional.avg_pool2d(padded, 3, stride=1)
    middle = smooth[..., 1:-1, 1:-1]
    left, right = smooth[..., 1:-1, :-2], smooth[..., 1:-1, 2:]
    above, below = smooth[..., :-2, 1:-1], smooth[..., 2:, 1:-1]
    slope = torch.hypot(right - left, below - above) / 2
    height, width = gain.shape[2:]
    place = (motion.grid + 1.0) * motion.grid.new_tensor((width / 2, height / 2)) - 0.5
    between = place - place.floor()
    x, y = (between * (1.0 - between) / 2).permute(0, 3, 1, 2).split(1, dim=1)
    bend = x * (left - 2 * middle + right).abs() + y * (above - 2 * middle + below).abs()
    error = slope * motion.doubt + bend
    return 1.0 / (1.0 + (error / _TOLERANCE).square())
