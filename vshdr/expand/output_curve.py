"""What becomes of a model's light: strength, no negative values, and the roll-off to the peak."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from vshdr import kernels
from vshdr.colour.gain import apply_gain, gain_of
from vshdr.colour.roll_off import RollOff, roll_off
from vshdr.models.contract import Display
from vshdr.options.expand import ExpandOptions

_UNBOUNDED = RollOff.below(math.inf)


class OutputCurve:
    """The options `strength` and `peak`, applied to a model's linear light."""

    def __init__(
        self, options: ExpandOptions, display: Display, brightest: float, linearise: Callable[[Tensor], Tensor]
    ) -> None:
        """`brightest` is the largest value that the model gives, in multiples of SDR white; `linearise` is the SDR
        display's curve.
        """
        self._strength = options.strength
        self._linearise = linearise
        # The brightest light that can come in: gamma and strength above 1 act as exponents on the model's own maximum.
        # If even that fits below the peak, nothing is rolled off.
        brightest **= max(1.0, options.gamma) * max(1.0, options.strength)
        ceiling = math.inf if options.peak == 0 else display.headroom
        self._roll_off = RollOff.below(ceiling, brightest=brightest)

    def apply(self, code: Tensor, linear: Tensor, out: Tensor) -> Tensor:
        """Fill `out` with the light to be shown. Return whether all of `linear` was finite: one bool on the device.

        `code` are the frames' code values and `linear` is the model's light, which may be overwritten. Both may have
        more frames and be larger than `out`, N x 3 x H x W; `out` may be `linear`.
        """
        if self._strength == 1.0:
            return _limit(crop(linear, out), self._roll_off, out)
        base = self._linearise(code)
        finite = remove_negative(linear)
        linear = apply_gain(base, self._strength * gain_of(base, linear))
        return finite & _limit(crop(linear, out), self._roll_off, out)


def remove_negative(linear: Tensor) -> Tensor:
    """Set what is negative in `linear` to 0, in place. Return whether all of it was finite: one bool on the device."""
    return _limit(linear, _UNBOUNDED, linear)


def crop(frames: Tensor, like: Tensor) -> Tensor:
    """Return as much of `frames`, N x 3 x H x W, from the first and from the top left, as fits into `like`."""
    count, _, height, width = like.shape
    return frames[:count, :, :height, :width]


def _limit(linear: Tensor, curve: RollOff, out: Tensor) -> Tensor:
    """Fill `out`, which may be `linear`, with light that is not negative and rolled off along `curve`. Return whether
    all was finite.
    """
    if kernels.serves(linear, out):
        return torch.tensor(kernels.limit_and_roll_off(linear, *curve, out))
    low, high = torch.aminmax(linear)
    out.copy_(roll_off(linear.clamp_min(0.0), curve))
    return torch.isfinite(low) & torch.isfinite(high)
