"""How bright a clip is: MaxCLL, MaxFALL and percentiles, as CTA-861.3 (Annex P) defines them, in constant memory."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from vshdr import kernels
from vshdr.colour.primaries import rows_to_nits

# Pixels per step: few enough to stay in a core's cache, and below the size from which torch shares its work among
# threads. The meter runs beside the network and the encoder, where more threads of its own make everything slower.
_STEP = 30_000

# The histogram counts the upper bits of float32 nits: sign, exponent and 10 bits of mantissa, so that a class is 0.1 %
# wide.
_DROPPED_BITS = 13
_LOWEST, _HIGHEST = 2.0**-10, 10000.0


@dataclass(frozen=True, kw_only=True)
class FrameLight:
    """Light of one frame in nits."""

    brightest: float
    """Largest max(R, G, B) of a pixel."""
    average: float
    """Mean of max(R, G, B) over all pixels."""


class LightMeter:
    """Measures what an HDR10 display is sent: max(R, G, B) of each pixel in BT.2020 primaries, in nits, 0 to 10000.

    MaxCLL is the largest of these in the clip, MaxFALL the largest mean of a frame. Few outliers decide MaxCLL, so the
    levels that 99.9 and 99.99 % of all pixels stay below are measured too, to 0.1 %.
    """

    def __init__(self, white: float = 203.0, primaries: int = 1) -> None:
        """A meter for linear light where 1.0 is `white` nits, in H.273 `primaries` (1 or 9)."""
        self._to_delivered = rows_to_nits(white, primaries)
        self._bins = torch.zeros(_bin(torch.tensor(_HIGHEST)).item() + 1, dtype=torch.int64)
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
        """Return what `add` counts of frames, N x 3 x H x W: N x `counted` floats on their device, without waiting for
        it.
        """
        rows = []
        for frame in linear.flatten(2):
            nits = self._nits(frame)
            bins = len(self._bins)
            histogram = torch.histc(_bin(nits).float(), bins, -0.5, bins - 0.5)
            rows.append(torch.cat((nits.amax()[None], nits.mean()[None], histogram)))
        return torch.stack(rows)

    def add_counts(self, counts: Tensor) -> FrameLight:
        """Count a frame that was counted by `counts`: one of its rows."""
        self._bins += counts[2:].to(torch.int64).cpu()
        return self._note(FrameLight(brightest=counts[0].item(), average=counts[1].item()))

    def _note(self, light: FrameLight) -> FrameLight:
        self._brightest = max(self._brightest, light.brightest)
        self._largest_average = max(self._largest_average, light.average)
        self._frames += 1
        return light

    def _count(self, linear: Tensor) -> tuple[float, float]:
        """Add a frame to the histogram; its brightest pixel and the sum of all."""
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
        """max(R, G, B) in nits as delivered; `pixels` is 3 x N."""
        red, green, blue = pixels
        channels = ((red * row[0]).add_(green, alpha=row[1]).add_(blue, alpha=row[2]) for row in self._to_delivered)
        return reduce(torch.maximum, channels).clamp_(0.0, _HIGHEST)

    @property
    def max_cll(self) -> int:
        """Maximum content light level in nits, as the metadata wants it: whole, at least 1."""
        return max(1, round(self._brightest))

    @property
    def max_fall(self) -> int:
        """Maximum frame-average light level in nits, whole, at least 1."""
        return max(1, round(self._largest_average))

    def percentile(self, percent: float) -> float:
        """Return nits that `percent` of all pixels counted so far do not exceed; 0 before the first frame."""
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
    """Return the class of each value: floats of one sign are ordered as their bits are, so their upper bits are a log
    histogram.
    """
    offset = _bits(_LOWEST) >> _DROPPED_BITS
    return (nits.clamp_min(_LOWEST).view(torch.int32) >> _DROPPED_BITS) - offset


def _bits(value: float) -> int:
    """Of a float32."""
    return struct.unpack("<i", struct.pack("<f", value))[0]


def _upper_edge(index: Tensor) -> Tensor:
    offset = _bits(_LOWEST) >> _DROPPED_BITS
    return ((index.to(torch.int32) + 1 + offset) << _DROPPED_BITS).view(torch.float32)
