"""The motion-compensated difference of two frames: what changes of their light, and of the gain that an expansion adds.

All flicker metrics are read off a `FrameDifference`. At its centre is the gain, G = log2(HDR / linearised SDR). Film
grain, motion and lighting are in the HDR and in the SDR alike and cancel. A constant factor on all of the HDR is the
same in each frame and cancels too. What is left is what the expansion itself does from frame to frame.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from vshdr.colour.primaries import luminance
from vshdr.colour.transfer import INVERSE_EOTF
from vshdr.metrics.flicker.motion import SMALLEST, STILL, Motion
from vshdr.metrics.pu21 import pu21_encode
from vshdr.metrics.stops import stops
from vshdr.temporal.warp import warp

FLOOR = 2.0**-10
"""Added to luminance before its logarithm. At `DARK`, the darkest that counts, a stop is measured 1/9 too small."""
DARK = 2.0**-7
"""Luminance of the source, 1.0 = SDR white, below which pixels do not count: 8-bit video has few codes there."""
HIGHLIGHT = 0.9**2.4
"""A pixel is a highlight if the largest of R, G and B of the source is at least this: linear, BT.1886 code 0.9."""
WHITE = 203.0
"""Nits of SDR white, for metrics that depend on absolute luminance."""
CELLS = 16
"""Number of square cells across the picture, for local statistics."""
_TOLERANCE = 0.02  # stops of error from an uncertain position at which a pixel counts half
_MIDDLE_GREY = 0.18
_SMALLEST_CELL = 8  # pixels
_NO_VARIANCE = 1e-12  # squared stops
_LEAST_MID_TONES = 0.01  # share of the picture


class EncodedLuminance(NamedTuple):
    """Luminance of one frame, 1 x 1 x H x W, in the two scales in which changes are measured."""

    stops: Tensor
    """log2(Y + 2^-10), Y = 1.0 at SDR white."""
    pu21: Tensor
    """PU21 units, SDR white at 203 nits."""


class Reference(NamedTuple):
    """What one frame of a clip is compared with: usually the same frame of its SDR source."""

    luminance: EncodedLuminance
    """Of the source; zero everywhere if there is none."""
    lit: Tensor
    """1 x 1 x H x W bool: bright enough to count."""
    highlight: Tensor
    """1 x 1 x H x W bool: at or near the source's maximum."""
    guide: Tensor
    """1 x 1 x H x W: luma codes in [0, 1] of the picture in which motion is estimated."""


class FrameDifference(NamedTuple):
    """A frame less the frame before, along the motion. Tensors are 1 x 1 x H x W."""

    gain: Tensor
    """Change of the gain in stops; without a source, of the luminance."""
    gain_pu21: Tensor
    """The same in PU21 units."""
    luminance: Tensor
    """Change of the luminance in stops, whatever its cause."""
    luminance_pu21: Tensor
    """The same in PU21 units."""
    weight: Tensor
    """How much a pixel counts, 0 to 1: 0 where it was hidden or is dark, less than 1 near edges whose motion is not
    known well enough.
    """
    highlight: Tensor
    """Bool: a highlight in this frame or in the one before."""
    still: Tensor
    """Bool: moves by less than `motion.STILL` pixels."""
    before: EncodedLuminance
    """The frame before, at the nearest pixel of each position: nothing is blurred."""
    reference_before: EncodedLuminance
    """The same for the reference."""


def encode_luminance(linear: Tensor) -> EncodedLuminance:
    """Return the luminance of linear light, 1 x 3 x H x W, BT.709, 1.0 = SDR white, in stops and in PU21 units."""
    return EncodedLuminance(stops(linear.clamp_min(0.0), FLOOR), pu21_encode(luminance(linear) * WHITE))


def from_source(linear: Tensor) -> Reference:
    """Return linearised SDR, 1 x 3 x H x W in [0, 1], as a reference."""
    grey = luminance(linear).clamp(0.0, 1.0)
    highlight = linear.amax(dim=1, keepdim=True) >= HIGHLIGHT
    return Reference(encode_luminance(linear), grey >= DARK, highlight, INVERSE_EOTF["bt1886"](grey))


def from_itself(linear: Tensor) -> Reference:
    """Return the reference of a clip, 1 x 3 x H x W linear, that has no source: nothing is subtracted.

    Highlights are what is brighter than 1.0. Motion is estimated in the clip after the tone curve of Reinhard et al.
    2002 (eq. 3), Y / (1 + Y).
    """
    grey = luminance(linear).clamp_min(0.0)
    nothing = torch.zeros_like(grey)
    guide = INVERSE_EOTF["bt1886"](grey / (1.0 + grey))
    return Reference(EncodedLuminance(nothing, nothing), grey >= DARK, grey > 1.0, guide)


def mid_tone_scale(linear: Tensor, source: Tensor | None) -> float | None:
    """Return the factor that brings the mid-tones of a clip to those of its source, from one frame of each,
    1 x 3 x H x W. Return None if the frame is too dark to tell, and 1 if the clip is black where its source is not.

    Without a source the log-average luminance is brought to middle grey, 0.18 (Reinhard et al. 2002, eq. 1 and 2).
    """
    clip = luminance(linear)
    reference = clip if source is None else luminance(source)
    mid_tones = clip > 0.0 if source is None else (reference >= DARK) & (reference <= 0.5)
    if mid_tones.float().mean() < _LEAST_MID_TONES:
        return None
    if source is None:
        return _MIDDLE_GREY / math.exp(float(clip[mid_tones].log().mean()))
    level = float((clip[mid_tones] / reference[mid_tones]).median())
    return 1.0 / level if level > 0.0 else 1.0


def frame_difference(
    now: EncodedLuminance,
    before: EncodedLuminance,
    reference: Reference,
    reference_before: Reference,
    motion: Motion,
) -> FrameDifference:
    """Return the difference between two successive frames of a clip, and of the gain, along `motion`.

    For a quantity X with X' in the frame before and w the motion, D X(p) = X(p) - X'(w(p)): the warped difference of
    Lai et al., "Learning Blind Video Temporal Consistency", ECCV 2018, in log luminance. The difference of the gain is
    D X - b D S, where S is the source and b in [0, 1] the share of the source's changes that the clip has kept, by
    least squares over each of the cells (16 across the picture). b is 1 for an expansion; it is less where grain or
    the steps of 8-bit codes were removed, which is not flicker.
    """
    source, source_before = reference.luminance, reference_before.luminance
    lit_before, highlight_before = reference_before.lit.float(), reference_before.highlight.float()
    stack = torch.cat((*before, *source_before, lit_before, highlight_before), dim=1)
    warped = warp(stack, motion.grid).split(1, dim=1)
    stack = torch.cat((*before, *source_before), dim=1)
    nearest = functional.grid_sample(stack, motion.grid, mode="nearest", align_corners=False).split(1, dim=1)
    visible = motion.visible & reference.lit & (warped[4] > 0.999)
    weight = visible * _confidence(now.stops - source.stops, motion)
    in_stops, in_pu21 = now.stops - warped[0], now.pu21 - warped[1]
    return FrameDifference(
        gain=_less_source(in_stops, source.stops - warped[2], weight),
        gain_pu21=_less_source(in_pu21, source.pu21 - warped[3], weight),
        luminance=in_stops,
        luminance_pu21=in_pu21,
        weight=weight,
        highlight=reference.highlight | (warped[5] > 0.5),
        still=motion.speed < STILL,
        before=EncodedLuminance(*nearest[:2]),
        reference_before=EncodedLuminance(*nearest[2:]),
    )


def downscale(linear: Tensor, width: int, height: int = 0) -> Tensor:
    """Return 1 x C x H x W averaged down to `width` pixels; unchanged if it is no wider.

    The height is `height`, or in proportion if that is 0. Metrics are taken of the smaller picture, because the
    sampling noise of single pixels is not flicker.
    """
    if linear.shape[3] <= width:
        return linear
    height = height or max(SMALLEST, round(linear.shape[2] * width / linear.shape[3]))
    return functional.interpolate(linear, (height, width), mode="area")


def weighted_mean(values: Tensor, weight: Tensor) -> float:
    """Return the weighted mean; NaN if all weights are 0."""
    total = float(weight.sum(dtype=torch.float64))
    return float((values * weight).sum(dtype=torch.float64)) / total if total > 0.0 else math.nan


def _less_source(clip: Tensor, source: Tensor, weight: Tensor) -> Tensor:
    """Return D X - b D S: the clip's change less the share b of the source's that is found in it (`frame_difference`).

    b is the slope of the weighted regression of D X on D S within each cell.
    """
    size = max(_SMALLEST_CELL, weight.shape[3] // CELLS)
    total = functional.avg_pool2d(weight, size, ceil_mode=True).clamp_min(1e-6)

    def cell_mean(values: Tensor) -> Tensor:
        return functional.avg_pool2d(values * weight, size, ceil_mode=True) / total

    clip_mean, source_mean = cell_mean(clip), cell_mean(source)
    variance = cell_mean(source.square()) - source_mean.square()
    covariance = cell_mean(clip * source) - clip_mean * source_mean
    share = torch.where(variance > _NO_VARIANCE, covariance / variance.clamp_min(_NO_VARIANCE), 1.0).clamp(0.0, 1.0)
    share = functional.interpolate(share, scale_factor=size)[..., : clip.shape[2], : clip.shape[3]]
    return clip - share * source


def _confidence(gain: Tensor, motion: Motion) -> Tensor:
    """Return 1 / (1 + (e / 0.02)^2), where e is the error in stops that an uncertain position may cause.

    A position that is wrong by d pixels causes d |grad G|. Linear interpolation at x and y from the nearest pixels
    causes x (1 - x) / 2 |G_xx| + y (1 - y) / 2 |G_yy|. G is first averaged over 3 x 3 pixels, so that noise is not
    taken for edges.
    """
    padded = functional.pad(gain, (2, 2, 2, 2), mode="replicate")
    smooth = functional.avg_pool2d(padded, 3, stride=1)
    middle = smooth[..., 1:-1, 1:-1]
    left, right = smooth[..., 1:-1, :-2], smooth[..., 1:-1, 2:]
    above, below = smooth[..., :-2, 1:-1], smooth[..., 2:, 1:-1]
    slope = torch.hypot(right - left, below - above) / 2
    height, width = gain.shape[2:]
    position = (motion.grid + 1.0) * motion.grid.new_tensor((width / 2, height / 2)) - 0.5
    fraction = position - position.floor()
    x, y = (fraction * (1.0 - fraction) / 2).permute(0, 3, 1, 2).split(1, dim=1)
    curvature = x * (left - 2 * middle + right).abs() + y * (above - 2 * middle + below).abs()
    error = slope * motion.uncertainty + curvature
    return 1.0 / (1.0 + (error / _TOLERANCE).square())
