"""Integer planes to RGB and back, on tensors of any device: zimg's work, for frames that are on a GPU anyway.

A frame of integer YCbCr is a quarter to an eighth of the size of the same frame in float RGB, and the bus to a GPU is
its narrowest part, so frames cross it as planes. The arithmetic is that of `core.resize.Bilinear`, down to the pattern
of the dither, so that both give the same codes but for rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vshdr.colour.h273 import ChromaLocation, Matrix

LUMA_WEIGHTS: dict[Matrix, tuple[float, float]] = {
    Matrix.BT709: (0.2126, 0.0722),
    Matrix.FCC: (0.30, 0.11),
    Matrix.BT470_BG: (0.299, 0.114),
    Matrix.BT601: (0.299, 0.114),
    Matrix.ST240: (0.212, 0.087),
    Matrix.BT2020_NCL: (0.2627, 0.0593),
}
"""Weights of red and blue in luma, Kr and Kb (H.273, table 4); green has the rest.

Left out are matrices whose luma is no weighted mean: YCgCo, ICtCp, constant luminance.
"""

LUMA_709 = (0.2126, 0.7152, 0.0722)
"""Weights of red, green and blue code values in luma (ITU-R BT.709)."""


@dataclass(frozen=True, kw_only=True)
class PlaneFormat:
    """The format of a clip's three integer planes: Y, Cb and Cr, or R, G and B."""

    width: int
    height: int
    bits: int
    """8 to 16."""
    matrix: Matrix
    """A key of `LUMA_WEIGHTS`, or `Matrix.RGB`."""
    full_range: bool
    """True where all codes are used, False for video range."""
    subsampling: tuple[int, int] = (0, 0)
    """log2 of the chroma subsampling, 0 or 1, across and down."""
    chroma_location: ChromaLocation = ChromaLocation.LEFT
    """Where subsampled chroma lies."""

    def shapes(self) -> list[tuple[int, int]]:
        """Return height and width of each plane."""
        across, down = self.subsampling
        chroma = self.height >> down, self.width >> across
        return [(self.height, self.width), chroma, chroma]

    @property
    def numpy_dtype(self) -> type[np.uint8] | type[np.uint16]:
        """NumPy's type of the samples."""
        return np.uint8 if self.bits == 8 else np.uint16

    @property
    def dtype(self) -> torch.dtype:
        """PyTorch's type of the samples."""
        return torch.uint8 if self.bits == 8 else torch.uint16

    @property
    def _scales(self) -> tuple[float, float, float, float]:
        """In codes: black and the span of luma (or of R, G and B), the middle and the span of chroma."""
        unit, top = float(1 << (self.bits - 8)), float((1 << self.bits) - 1)
        if self.full_range:
            return 0.0, top, 128.0 * unit, top
        return 16.0 * unit, 219.0 * unit, 128.0 * unit, 224.0 * unit

    def to_rgb(self, planes: Sequence[Tensor]) -> Tensor:
        """Return R, G and B, N x 3 x H x W, of three planes, N x h x w. Black is 0, white 1; codes may pass both."""
        black, span, middle, chroma_span = self._scales
        first = (_as_float(planes[0]) - black) / span
        if self.matrix == Matrix.RGB:
            return torch.stack((first, *((_as_float(plane) - black) / span for plane in planes[1:])), dim=1)
        blue, red = ((self._enlarge(_as_float(plane)) - middle) / chroma_span for plane in planes[1:])
        kr, kb = LUMA_WEIGHTS[self.matrix]
        r, b = first + (2.0 * (1.0 - kr)) * red, first + (2.0 * (1.0 - kb)) * blue
        return torch.stack((r, (first - kr * r - kb * b) / (1.0 - kr - kb), b), dim=1)

    def from_rgb(self, rgb: Tensor, dither: Tensor | None = None) -> list[Tensor]:
        """Return Y, Cb and Cr, N x h x w each, of R, G and B, N x 3 x H x W in [0, 1].

        `dither` is a `dither_pattern`; without it codes are rounded.
        """
        black, span, middle, chroma_span = self._scales
        kr, kb = LUMA_WEIGHTS[self.matrix]
        r, g, b = rgb.unbind(1)
        luma = kr * r + (1.0 - kr - kb) * g + kb * b
        blue, red = (b - luma) / (2.0 * (1.0 - kb)), (r - luma) / (2.0 * (1.0 - kr))
        codes = [luma * span + black, *(self._shrink(part) * chroma_span + middle for part in (blue, red))]
        if dither is not None:
            codes = [code + pattern for code, pattern in zip(codes, _tiled(dither, self.shapes()), strict=True)]
        top = float((1 << self.bits) - 1)
        return [code.round().clamp(0.0, top).to(torch.int32).to(self.dtype) for code in codes]

    def _enlarge(self, chroma: Tensor) -> Tensor:
        for dim, halved, place in zip((2, 1), self.subsampling, self.chroma_location.position, strict=True):
            chroma = _double(chroma, dim, place) if halved else chroma
        return chroma

    def _shrink(self, chroma: Tensor) -> Tensor:
        for dim, halved, place in zip((2, 1), self.subsampling, self.chroma_location.position, strict=True):
            chroma = _halve(chroma, dim, place) if halved else chroma
        return chroma


def dither_pattern(device: torch.device | str = "cpu") -> Tensor:
    """Return zimg's ordered dither, 16 x 16: a Bayer matrix, as offsets between -1/2 and 1/2 of a code."""
    rank = torch.zeros(1, 1)
    for _ in range(4):
        rank = torch.cat((torch.cat((4 * rank, 4 * rank + 3), 1), torch.cat((4 * rank + 2, 4 * rank + 1), 1)), 0)
    return ((rank + 1.0) / 257.0 - 0.5).to(device)


def _tiled(pattern: Tensor, shapes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """Return the pattern repeated over each plane, mirrored for chroma, so that the planes do not err together."""
    patterns = (pattern, pattern.flip(1), pattern.flip(0))
    side = len(pattern)
    return [p.repeat(-(-h // side), -(-w // side))[:h, :w] for p, (h, w) in zip(patterns, shapes, strict=True)]


def _as_float(plane: Tensor) -> Tensor:
    # torch can hold uint16 but hardly compute with it, not even convert it to float
    return plane.to(torch.float32) if plane.dtype is torch.uint8 else plane.to(torch.int32).to(torch.float32)


def _neighbour(samples: Tensor, dim: int, step: int) -> Tensor:
    """Return the next (`step` 1) or the previous (-1) sample of each along `dim`; the border is repeated."""
    length = samples.shape[dim]
    if step > 0:
        return torch.cat((samples.narrow(dim, 1, length - 1), samples.narrow(dim, length - 1, 1)), dim)
    return torch.cat((samples.narrow(dim, 0, 1), samples.narrow(dim, 0, length - 1)), dim)


def _double(samples: Tensor, dim: int, place: float) -> Tensor:
    """Return twice as many samples along `dim`, interpolated linearly; `place` is one of `ChromaLocation.position`."""
    even = torch.lerp(samples, _neighbour(samples, dim, -1), place / 2)
    odd = torch.lerp(samples, _neighbour(samples, dim, 1), (1.0 - place) / 2)
    return torch.stack((even, odd), dim + 1).flatten(dim, dim + 1)


def _halve(samples: Tensor, dim: int, place: float) -> Tensor:
    """Return half as many samples along `dim`: means weighted by a triangle that reaches two samples to each side."""
    before, after = 1, 2
    padding = (before, after, 0, 0) if dim == 2 else (0, 0, before, after)
    padded = F.pad(samples.unsqueeze(1), padding, mode="replicate").squeeze(1)
    last = samples.shape[dim] - 1
    weights = {offset: (1.0 - abs(offset - place) / 2.0) / 2.0 for offset in range(-before, after + 1)}
    taps = {
        offset: slice(before + offset, before + offset + last, 2) for offset, weight in weights.items() if weight > 0
    }
    parts = (weights[offset] * (padded[:, :, tap] if dim == 2 else padded[:, tap]) for offset, tap in taps.items())
    return reduce(torch.add, parts)
