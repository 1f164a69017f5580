"""ExpandNet's percentile smoother, for comparison: a frame's light is remapped so that its percentiles change smoothly.

As in the temporally stable fork of ExpandNet (its `expand.py --video`), with its faults mended: the filter is centred
where theirs comes twelve frames late, light above the 99th percentile is kept where theirs is cut off, and shots are
smoothed by themselves, also those shorter than the filter.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from vshdr.colour.gain import apply_gain, gain_of
from vshdr.temporal.gain_frames import GainFrame


def smooth_percentiles(number: int, window: Mapping[int, GainFrame], shot: range, radius: int) -> Tensor:
    """Return the gain of frame `number`, 3 x H x W, after remapping its light.

    The percentiles of the frames of `shot` are filtered with a Blackman window of 2 `radius` + 3 taps (the outermost
    are zero; `radius` 11 is the published filter), mirrored at the ends of the shot.
    """
    taps = np.blackman(2 * radius + 3)[1:-1]
    filtered = sum(
        float(weight) * window[_mirrored(number + offset, shot)].percentiles
        for offset, weight in zip(range(-radius, radius + 1), taps / taps.sum(), strict=True)
    )
    here = window[number]
    light = apply_gain(here.base, here.gain)
    return gain_of(here.base, remap(light, here.percentiles, filtered))


def remap(light: Tensor, own: Tensor, wanted: Tensor) -> Tensor:
    """Return light with the percentiles `own` to light with those `wanted` (5 each, rising): straight in between, from
    zero to the first, and shifted above the last.
    """
    result = wanted[0] * (light / own[0].clamp_min(1e-6)).clamp_max(1.0)
    for low, high, step in zip(own, own[1:], wanted.diff(), strict=False):
        result += step * ((light - low) / (high - low).clamp_min(1e-6)).clamp(0.0, 1.0)
    return result + (light - own[-1]).clamp_min(0.0)


def _mirrored(number: int, shot: range) -> int:
    """`number` if the shot has it, else the frame that a mirror at the shot's first or last frame shows there."""
    if len(shot) == 1:
        return shot.start
    place = (number - shot.start) % (2 * len(shot) - 2)
    return shot.start + min(place, 2 * len(shot) - 2 - place)
