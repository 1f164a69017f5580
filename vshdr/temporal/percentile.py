"""ExpandNet's percentile smoother, for comparison: a frame's light is remapped so that its percentiles change smoothly.

It follows the temporally stable fork of ExpandNet (`expand.py --video`) and corrects three faults of it. The filter is
centred, where the original lags by twelve frames. Light above the 99th percentile is kept, where the original clips it.
Each shot is smoothed by itself, also when it is shorter than the filter.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from vshdr.colour.gain import apply_gain, gain_of
from vshdr.temporal.gain_frames import GainFrame


def smooth_percentiles(number: int, window: Mapping[int, GainFrame], shot: range, radius: int) -> Tensor:
    """Return the gain of frame `number` after its light is remapped, 3 x H x W, in stops.

    The percentiles of the frames of `shot` are filtered with a Blackman window of 2 `radius` + 3 taps, of which the
    outermost two are zero; `radius` 11 is the published filter. The ends of the shot are mirrored.
    """
    taps = np.blackman(2 * radius + 3)[1:-1]
    here = window[number]
    filtered = torch.zeros_like(here.percentiles)
    for offset, weight in zip(range(-radius, radius + 1), taps / taps.sum(), strict=True):
        filtered = filtered + float(weight) * window[_mirrored(number + offset, shot)].percentiles
    light = apply_gain(here.base, here.gain)
    return gain_of(here.base, remap(light, here.percentiles, filtered))


def remap(light: Tensor, own: Tensor, wanted: Tensor) -> Tensor:
    """Return `light` mapped so that its percentiles `own` become `wanted` (5 rising values each): linear from zero to
    the first and from each to the next, shifted by a constant above the last.
    """
    result = wanted[0] * (light / own[0].clamp_min(1e-6)).clamp_max(1.0)
    for low, high, step in zip(own, own[1:], wanted.diff(), strict=False):
        result += step * ((light - low) / (high - low).clamp_min(1e-6)).clamp(0.0, 1.0)
    return result + (light - own[-1]).clamp_min(0.0)


def _mirrored(number: int, shot: range) -> int:
    """Return `number` if the shot has it, else its mirror image about the shot's first or last frame."""
    if len(shot) == 1:
        return shot.start
    place = (number - shot.start) % (2 * len(shot) - 2)
    return shot.start + min(place, 2 * len(shot) - 2 - place)
