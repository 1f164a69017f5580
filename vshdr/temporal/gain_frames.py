"""Frames as the smoothing of gain sees them, and which neighbours belong to a frame's shot."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from vshdr.colour.gain import apply_gain
from vshdr.colour.ycbcr import LUMA_709

_SMALL = 480 * 270  # pixels, about, of the reduced frame, in which motion is estimated
PERCENTILES = (1.0, 25.0, 50.0, 75.0, 99.0)
"""Percentiles that ExpandNet's smoother looks at."""


@dataclass(frozen=True, eq=False)
class GainFrame:
    """One frame of a window."""

    code: Tensor
    """3 x H x W, SDR code values in [0, 1]."""
    layers: Tensor
    """1 x 4 x H x W on the same device: the gain in stops that the model gave this frame by itself, and its luma."""
    brightness: float
    """Mean luma code of the frame."""
    starts_shot: bool
    """Whether a cut or a fade lies between this frame and the one before it."""
    linearise: Callable[[Tensor], Tensor]
    """The SDR display's curve: code values to linear light."""

    @classmethod
    def of(
        cls,
        code: Tensor,
        gain: Tensor,
        *,
        brightness: float,
        starts_shot: bool,
        linearise: Callable[[Tensor], Tensor],
    ) -> GainFrame:
        """Return a frame from its code values and its gain, 3 x H x W each."""
        luma = torch.einsum("c,chw->hw", code.new_tensor(LUMA_709), code)
        layers = torch.cat([gain, luma[None]])[None]
        if layers.device.type == "cpu":  # the warp reads a pixel's four numbers together
            layers = layers.contiguous(memory_format=torch.channels_last)
        return cls(code, layers, brightness, starts_shot, linearise)

    @property
    def base(self) -> Tensor:
        """3 x H x W, the linearised SDR."""
        return self.linearise(self.code)

    @property
    def gain(self) -> Tensor:
        """3 x H x W, stops."""
        return self.layers[0, :3]

    @cached_property
    def factor(self) -> int:
        """Sides of the frame over sides of the reduced frame."""
        height, width = self.code.shape[-2:]
        return max(2, round(math.sqrt(height * width / _SMALL)))

    @cached_property
    def small(self) -> Tensor:
        """1 x 3 x h x w: the frame reduced by `factor`, each pixel the mean of those that it covers."""
        return F.avg_pool2d(self.code[None], self.factor, ceil_mode=True)

    @cached_property
    def small_luma(self) -> Tensor:
        """1 x 1 x h x w: luma of the reduced frame."""
        return torch.einsum("c,nchw->nhw", self.code.new_tensor(LUMA_709), self.small)[None]

    @cached_property
    def percentiles(self) -> Tensor:
        """The `PERCENTILES` of all samples of this frame's linear light, interpolated linearly."""
        samples = apply_gain(self.base, self.gain).flatten().sort().values
        place = torch.tensor(PERCENTILES, dtype=torch.float64) / 100.0 * (len(samples) - 1)
        below = place.long()
        above = (below + 1).clamp_max(len(samples) - 1)
        share = (place - below).to(samples)
        return torch.lerp(samples[below.to(samples.device)], samples[above.to(samples.device)], share)


def members(number: int, window: Mapping[int, GainFrame], radius: int) -> range:
    """Return the numbers of the frames within `radius` of `number` that belong to its shot."""
    first = last = number
    while first > number - radius and not window[first].starts_shot and first - 1 in window:
        first -= 1
    while last < number + radius and last + 1 in window and not window[last + 1].starts_shot:
        last += 1
    return range(first, last + 1)
