"""Smoothing of the gain over the frames of a shot.

A frame's gain becomes the weighted mean of the gains of the frames around it, as many before as after it, each moved
along with the picture. The picture itself is never averaged, so detail, grain and motion of the SDR stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from vshdr import kernels
from vshdr.temporal.flow import box, enlarge, flow
from vshdr.temporal.gain_frames import GainFrame, members
from vshdr.temporal.percentile import smooth_percentiles
from vshdr.temporal.warp import pixel_centres, warp, warp_by_flow

# Differences of SDR code values at which a neighbour's weight has fallen to 1/e.
_OTHER_PICTURE = 0.05  # between the reduced frames, whose noise is averaged away
_OTHER_PIXEL = 0.1  # between single pixels, whose noise must not decide
_OTHER_BRIGHTNESS = 0.05  # between the means of whole frames
_OTHER_SURROUNDINGS = 0.02  # between the wider surroundings, after `_NOISE` is subtracted
_NOISE = 0.01


class Smoother:
    """Smoothing with the user's options."""

    def __init__(self, radius: int, mode: str) -> None:
        """Look at `radius` frames on either side; `mode` is "gain" (`smooth_gain`) or "percentile"
        (`smooth_percentiles`).
        """
        self._radius, self._mode = radius, mode

    def __call__(self, number: int, window: Mapping[int, GainFrame]) -> Tensor:
        """Return the smoothed gain of frame `number`, 3 x H x W, in stops.

        `window` holds the frames within the radius that the clip has. The result depends only on those that belong to
        the frame's shot.
        """
        shot = members(number, window, self._radius)
        if self._mode == "percentile":
            return smooth_percentiles(number, window, shot, self._radius)
        return smooth_gain(number, window, shot)


def smooth_gain(number: int, window: Mapping[int, GainFrame], shot: range) -> Tensor:
    """Return the weighted mean of the gains of the frames `shot`, each warped to frame `number`: 3 x H x W, in stops.

    Motion is estimated between reduced frames (`flow`). A neighbour's gain counts the more the more alike the SDR is:
    its weight is exp(-d^2), where d^2 adds four squared differences, each in units of its tolerance above. The reduced
    frame around the pixel says whether the motion found the same thing; the pixel itself keeps edges sharp at full
    size; the brightness of the whole frame keeps a flash out of its neighbours; and the wider surroundings tell
    clipped areas apart, which all look alike by themselves (a lamp's middle from its rim).
    """
    here = window[number]
    height, width = here.gain.shape[-2:]
    own, centres = here.layers, None
    total = own[:, :3].clone(memory_format=torch.contiguous_format)
    weights = torch.ones_like(total[:, :1])
    for other in shot:
        if other == number:
            continue
        there = window[other]
        field = _motion_and_distance(here, there)
        if kernels.serves(total):
            kernels.add_moved(own, there.layers, field, here.factor, _OTHER_PIXEL, total, weights)
            continue
        fine = enlarge(field, here.factor, (height, width))
        centres = pixel_centres(height, width, own) if centres is None else centres
        moved = warp(there.layers, (centres + fine[:, :2]).permute(0, 2, 3, 1))
        # Operations in place, because memory limits these steps.
        weight = moved[:, 3:].sub_(own[:, 3:]).div_(_OTHER_PIXEL).square_().add_(fine[:, 2:]).neg_().exp_()
        total.addcmul_(weight, moved[:, :3])
        weights.add_(weight)
    return total.div_(weights)[0]


def _motion_and_distance(here: GainFrame, there: GainFrame) -> Tensor:
    """Return 1 x 3 x h x w, at the reduced size: the motion from `here` to `there`, normalised as in `temporal.warp`,
    and d^2, how different the SDR looks where the motion leads (without the difference of single pixels).
    """
    height, width = here.gain.shape[-2:]
    motion = flow(here.small_luma, there.small_luma)
    difference = (warp_by_flow(there.small, motion) - here.small).abs().mean(dim=1, keepdim=True)
    distance = (box(difference, 3) / _OTHER_PICTURE).square()
    surroundings = box(F.avg_pool2d((difference - _NOISE).clamp_min(0.0), 4, ceil_mode=True), 9)
    rows, columns = distance.shape[-2:]
    distance += enlarge((surroundings / _OTHER_SURROUNDINGS).square(), 4, (rows, columns))
    distance += ((there.brightness - here.brightness) / _OTHER_BRIGHTNESS) ** 2
    normalised = motion * motion.new_tensor([2 * here.factor / width, 2 * here.factor / height])[:, None, None]
    return torch.cat([normalised, distance], dim=1)
