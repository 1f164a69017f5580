"""Smoothing of the gain over the frames of a shot.

A frame's gain becomes the weighted mean of the gains of the frames around it, as many before as behind, moved along
with the picture. What is averaged is never the picture: detail, grain and motion of the SDR stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from vshdr import kernels
from vshdr.temporal.flow import box, enlarge, flow, look_up, pixel_centres, warp_by_flow
from vshdr.temporal.gain_frames import GainFrame, members
from vshdr.temporal.percentile import smooth_percentiles

# Differences of SDR code values at which a neighbour's weight has fallen to 1/e: of the reduced pictures, whose noise
# is averaged away; of single pixels, whose noise must not decide; of the brightness of whole frames; and of the wider
# surroundings, once their noise is taken off.
_OTHER_PICTURE, _OTHER_PIXEL, _OTHER_LIGHT, _OTHER_SURROUNDINGS = 0.05, 0.1, 0.05, 0.02
_NOISE = 0.01


class Smoother:
    """Smoothing with the user's options.

    `radius` is the number of frames on either side; `mode` is "gain" or "percentile".
    """

    def __init__(self, radius: int, mode: str) -> None:
        self._radius, self._mode = radius, mode

    def __call__(self, number: int, window: Mapping[int, GainFrame]) -> Tensor:
        """Return the smoothed gain of frame `number`, 3 x H x W.

        `window` holds the frames within the radius as far as the clip has them. The result depends on those of its shot
        and on nothing else.
        """
        shot = members(number, window, self._radius)
        if self._mode == "percentile":
            return smooth_percentiles(number, window, shot, self._radius)
        return smooth_gain(number, window, shot)


def smooth_gain(number: int, window: Mapping[int, GainFrame], shot: range) -> Tensor:
    """Return the mean of the gains of the frames `shot`, each moved to where frame `number` has what it shows.

    Motion is sought in reduced pictures (`flow`). A neighbour's gain counts by how much its SDR looks the same there:
    exp(-d^2) with d for the reduced picture around the pixel, for the pixel itself, which keeps the edges of the full
    size, and for the brightness of the whole frame, which keeps the neighbours of a flash out of it. Clipped light
    looks the same everywhere: what tells a lamp's middle from its rim is d for the wider surroundings.
    """
    here = window[number]
    height, width = here.gain.shape[-2:]
    own, place = here.layers, None
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
        place = pixel_centres(height, width, own) if place is None else place
        moved = look_up(there.layers, place, fine[:, :2])
        # In place, as memory is what limits these steps.
        weight = moved[:, 3:].sub_(own[:, 3:]).div_(_OTHER_PIXEL).square_().add_(fine[:, 2:]).neg_().exp_()
        total.addcmul_(weight, moved[:, :3])
        weights.add_(weight)
    return total.div_(weights)[0]


def _motion_and_distance(here: GainFrame, there: GainFrame) -> Tensor:
    """Return 1 x 3 x h x w of the reduced size: motion from `here` to `there` as shares of half the frame's sides, and
    how far what is found there looks otherwise, as the exponent of the weight.
    """
    height, width = here.gain.shape[-2:]
    motion = flow(here.small_luma, there.small_luma)
    difference = (warp_by_flow(there.small, motion) - here.small).abs().mean(dim=1, keepdim=True)
    distance = (box(difference, 3) / _OTHER_PICTURE).square()
    surroundings = box(F.avg_pool2d((difference - _NOISE).clamp_min(0.0), 4, ceil_mode=True), 9)
    distance += enlarge((surroundings / _OTHER_SURROUNDINGS).square(), 4, distance.shape[-2:])
    distance += ((there.brightness - here.brightness) / _OTHER_LIGHT) ** 2
    shares = motion * motion.new_tensor([2 * here.factor / width, 2 * here.factor / height])[:, None, None]
    return torch.cat([shares, distance], dim=1)
