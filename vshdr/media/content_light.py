"""Measures MaxCLL, MaxFALL and percentiles of a clip, as CTA-861.3 (Annex P) defines them, in constant memory."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from vshdr import kernels
from vshdr.colour.h273 import Primaries
from vshdr.colour.primaries import matrix_to_bt2020_nits
from vshdr.colour.transfer import PQ_PEAK

# Pixels per step: few enough to stay in a core's cache, and below the size from which torch spreads its work over
# threads. The meter runs beside the network and the encoder, where more threads would make everything slower.
_STEP = 30_000

# The bins of the histogram are the upper bits of float32 nits: sign, exponent and 10 bits of mantissa, so that a bin is
# 0.1 % wide.
_DROPPED_BITS = 13
_LOWEST, _HIGHEST = 2.0**-10, PQ_PEAK


@dataclass(frozen=True, kw_only=True)
class FrameLight:
    """Light of one frame in nits."""

    brightest: float
    """Largest max(R, G, B) of a pixel."""
    average: float
    """Mean of max(R, G, B) over all pixels."""


class ContentLightMeter:
    """Measures MaxCLL and MaxFALL.

    Both are about max(R, G, B) of each pixel as it is sent to an HDR10 display: in BT.2020 primaries, in nits, 0 to
    10000. MaxCLL is the largest of these in the clip, MaxFALL the largest mean of a frame. A few outliers decide
    MaxCLL, so the levels that 99.9 and 99.99 % of all pixels stay below are measured too, to 0.1 %.
    """

    def __init__(self, white: float = 203.0, primaries: Primaries = Primaries.BT709) -> None:
        """Start a meter for linear light in `primaries`, 1.0 = `white` nits."""
        self._to_delivered = matrix_to_bt2020_nits(white, primaries)
        self._bins = torch.zeros(int(_bin(torch.tensor(_HIGHEST))) + 1, dtype=torch.int64)
        self._brightest = self._largest_average = 0.0
        self._frames = 0

    def add(self, linear: Tensor) -> FrameLight:
        """Count one frame, 3 x H x W, and return its light."""
        with torch.no_grad():
            brightest, total = self._count(linear.float())
        return self._note(FrameLight(brightest=brightest, average=total / linear[0].numel()))

    @property
    def counted(self) -> int:
        """How many numbers `counts` gives for a frame."""
        return len(self._bins) + 2

    def counts(self, linear: Tensor) -> Tensor:
        """Return what `add` would count of frames, N x 3 x H x W, as N x `counted` floats on their device.

        Nothing waits for the device. `add_counts` takes the rows.
        """
        rows = []
        for frame in linear.flatten(2):
            nits = self._nits(frame)
            bins = len(self._bins)
            histogram = torch.histc(_bin(nits).float(), bins, -0.5, bins - 0.5)
            rows.append(torch.cat((nits.amax()[None], nits.mean()[None], histogram)))
        return torch.stack(rows)

    def add_counts(self, counts: Tensor) -> FrameLight:
        """Count one frame, by its row of `counts`, and return its light."""
        self._bins += counts[2:].to(torch.int64).cpu()
        return self._note(FrameLight(brightest=counts[0].item(), average=counts[1].item()))

    def _note(self, light: FrameLight) -> FrameLight:
        self._brightest = max(self._brightest, light.brightest)
        self._largest_average = max(self._largest_average, light.average)
        self._frames += 1
        return light

    def _count(self, linear: Tensor) -> tuple[float, float]:
        """Add a frame to the histogram and return its brightest pixel and the sum of all, in nits."""
        if kernels.serves(linear):
            matrix = [value for row in self._to_delivered for value in row]
            return kernels.measure_light(linear, matrix, (_LOWEST, _HIGHEST), _DROPPED_BITS, self._bins)
        brightest = total = 0.0
        for pixels in linear.flatten(1).split(_STEP, dim=1):
            nits = self._nits(pixels)
            brightest = max(brightest, nits.max().item())
            total += nits.sum(dtype=torch.float64).item()
            self._bins += torch.bincount(_bin(nits), minlength=len(self._bins)).cpu()
        return brightest, total

    def _nits(self, pixels: Tensor) -> Tensor:
        """Return max(R, G, B) in nits as delivered; `pixels` is 3 x N."""
        red, green, blue = pixels
        channels = ((red * row[0]).add_(green, alpha=row[1]).add_(blue, alpha=row[2]) for row in self._to_delivered)
        return reduce(torch.maximum, channels).clamp_(0.0, _HIGHEST)

    @property
    def max_cll(self) -> int:
        """MaxCLL, the maximum content light level, as the metadata holds it: in whole nits, at least 1."""
        return max(1, round(self._brightest))

    @property
    def max_fall(self) -> int:
        """MaxFALL, the maximum frame-average light level, in whole nits, at least 1."""
        return max(1, round(self._largest_average))

    def percentile(self, percent: float) -> float:
        """Return the nits that `percent` % of all pixels so far do not exceed; 0 before the first frame."""
        total = self._bins.sum().item()
        if total == 0:
            return 0.0
        rank = max(1, -int(-total * percent // 100))
        index = torch.searchsorted(self._bins.cumsum(0), rank)
        return min(self._brightest, _upper_edge(index).item())

    def summary(self) -> dict[str, float]:
        """Return all levels in nits: max_cll, max_fall, percentile_99_9, percentile_99_99; and frames."""
        return {
            "frames": self._frames,
            "max_cll": self._brightest,
            "max_fall": self._largest_average,
            "percentile_99_9": self.percentile(99.9),
            "percentile_99_99": self.percentile(99.99),
        }


def _bin(nits: Tensor) -> Tensor:
    """Return the bin of each value: the upper bits of positive floats rise with their logarithm."""
    offset = _bits(_LOWEST) >> _DROPPED_BITS
    return (nits.clamp_min(_LOWEST).view(torch.int32) >> _DROPPED_BITS) - offset


def _bits(value: float) -> int:
    """Return the bits of a float32 as an integer."""
    return struct.unpack("<i", struct.pack("<f", value))[0]


def _upper_edge(index: Tensor) -> Tensor:
    """Return the largest value that falls into a bin, in nits."""
    offset = _bits(_LOWEST) >> _DROPPED_BITS
    return ((index.to(torch.int32) + 1 + offset) << _DROPPED_BITS).view(torch.float32)
