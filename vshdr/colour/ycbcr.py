"""Integer planes to RGB and linear light to integer planes, on tensors of any device: what zimg does on a CPU, for
frames that are on a GPU anyway.

Integer YCbCr is a quarter to an eighth of what the same frame is in float RGB, and the bus to a GPU is its narrowest
part. The arithmetic is that of `core.resize.Bilinear`, down to the pattern of the dither, so that both give the same
codes but for rounding. Numbers of matrices and transfers are those of ITU-T H.273.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vshdr.colour.transfer import hlg_encode, pq_encode

LUMA_WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087)}
LUMA_WEIGHTS |= {9: (0.2627, 0.0593)}
"""Kr and Kb by matrix. Those without a luma that is a weighted mean (YCgCo, ICtCp, constant luminance) are left out."""

# Where chroma samples lie between those of luma, 0 to 1, by VapourSynth's _ChromaLocation: across and down.
SITING = {0: (0.0, 0.5), 1: (0.5, 0.5), 2: (0.0, 0.0), 3: (0.5, 0.0), 4: (0.0, 1.0), 5: (0.5, 1.0)}


@dataclass(frozen=True, kw_only=True)
class Planes:
    """What the integer planes of a clip are."""

    width: int
    height: int
    bits: int
    """8 to 16."""
    matrix: int
    """A key of `LUMA_WEIGHTS`, or 0 for RGB."""
    full_range: bool
    subsampling: tuple[int, int] = (0, 0)
    """log2, 0 or 1, across and down."""
    chroma_location: int = 0
    """A key of `SITING`."""

    def shapes(self) -> list[tuple[int, int]]:
        """Return height and width of the three planes."""
        across, down = self.subsampling
        chroma = self.height >> down, self.width >> across
        return [(self.height, self.width), chroma, chroma]

    @property
    def kind(self) -> type:
        """Of their samples, to numpy."""
        return np.uint8 if self.bits == 8 else np.uint16

    @property
    def dtype(self) -> torch.dtype:
        """Of their samples, to torch."""
        return torch.uint8 if self.bits == 8 else torch.uint16

    @property
    def _scales(self) -> tuple[float, float, float, float]:
        """Black and the span of luma (or of R, G and B), the middle and the span of chroma, in codes."""
        unit, top = float(1 << (self.bits - 8)), float((1 << self.bits) - 1)
        if self.full_range:
            return 0.0, top, 128.0 * unit, top
        return 16.0 * unit, 219.0 * unit, 128.0 * unit, 224.0 * unit

    def to_rgb(self, planes: Sequence[Tensor]) -> Tensor:
        """Return code values of R, G and B, N x 3 x H x W, 0 to 1 and beyond, of three planes, N x h x w each."""
        black, span, middle, chroma_span = self._scales
        first = (_as_float(planes[0]) - black) / span
        if self.matrix == 0:
            return torch.stack((first, *((_as_float(plane) - black) / span for plane in planes[1:])), dim=1)
        blue, red = ((self._enlarge(_as_float(plane)) - middle) / chroma_span for plane in planes[1:])
        kr, kb = LUMA_WEIGHTS[self.matrix]
        r, b = first + (2.0 * (1.0 - kr)) * red, first + (2.0 * (1.0 - kb)) * blue
        return torch.stack((r, (first - kr * r - kb * b) / (1.0 - kr - kb), b), dim=1)

    def from_rgb(self, rgb: Tensor, dither: Tensor | None = None) -> list[Tensor]:
        """Return three planes, N x h x w each, of R, G and B, N x 3 x H x W, 0 to 1; with
        `dither_pattern` or without.
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
        for dim, halved, place in zip((2, 1), self.subsampling, SITING[self.chroma_location], strict=True):
            chroma = _double(chroma, dim, place) if halved else chroma
        return chroma

    def _shrink(self, chroma: Tensor) -> Tensor:
        for dim, halved, place in zip((2, 1), self.subsampling, SITING[self.chroma_location], strict=True):
            chroma = _halve(chroma, dim, place) if halved else chroma
        return chroma


def dither_pattern(device: torch.device | str = "cpu") -> Tensor:
    """Return the ordered dither of zimg: a Bayer matrix of 16 x 16, as offsets between -1/2 and 1/2 of a code."""
    rank = torch.zeros(1, 1)
    for _ in range(4):
        rank = torch.cat((torch.cat((4 * rank, 4 * rank + 3), 1), torch.cat((4 * rank + 2, 4 * rank + 1), 1)), 0)
    return ((rank + 1.0) / 257.0 - 0.5).to(device)


def _tiled(pattern: Tensor, shapes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """Return the pattern over each plane; mirrored for chroma, so that the three do not err together."""
    patterns = (pattern, pattern.flip(1), pattern.flip(0))
    side = len(pattern)
    return [p.repeat(-(-h // side), -(-w // side))[:h, :w] for p, (h, w) in zip(patterns, shapes, strict=True)]


def encode_transfer(linear: Tensor, transfer: str, to_nits: Sequence[Sequence[float]]) -> Tensor:
    """Return linear light, N x 3 x H x W, to BT.2020 code values of "pq" or "hlg"; `to_nits` are
    `colour.rows_to_nits`.
    """
    channels = linear.unbind(1)
    nits = [row[0] * channels[0] + row[1] * channels[1] + row[2] * channels[2] for row in to_nits]
    if transfer == "pq":
        return torch.stack([pq_encode(channel) for channel in nits], dim=1)
    return hlg_encode(torch.stack(nits, dim=1))


def _as_float(plane: Tensor) -> Tensor:
    # torch knows uint16 as a store and little else
    return plane.to(torch.float32) if plane.dtype is torch.uint8 else plane.to(torch.int32).to(torch.float32)


def _neighbour(samples: Tensor, dim: int, step: int) -> Tensor:
    """`samples` moved by one along `dim`, the border repeated: step 1 gives the next sample at each place."""
    length = samples.shape[dim]
    if step > 0:
        return torch.cat((samples.narrow(dim, 1, length - 1), samples.narrow(dim, length - 1, 1)), dim)
    return torch.cat((samples.narrow(dim, 0, 1), samples.narrow(dim, 0, length - 1)), dim)


def _double(samples: Tensor, dim: int, place: float) -> Tensor:
    """Return twice as many samples along `dim`, linear between those that are there; `place` as in `SITING`."""
    even = torch.lerp(samples, _neighbour(samples, dim, -1), place / 2)
    odd = torch.lerp(samples, _neighbour(samples, dim, 1), (1.0 - place) / 2)
    return torch.stack((even, odd), dim + 1).flatten(dim, dim + 1)


def _halve(samples: Tensor, dim: int, place: float) -> Tensor:
    """Return half as many samples along `dim`, each a mean of those within two of its place, weighted by a triangle."""
    before, after = 1, 2
    padding = (before, after, 0, 0) if dim == 2 else (0, 0, before, after)
    padded = F.pad(samples.unsqueeze(1), padding, mode="replicate").squeeze(1)
    last = samples.shape[dim] - 1
    weights = {offset: (1.0 - abs(offset - place) / 2.0) / 2.0 for offset in range(-before, after + 1)}
    taps = {
        offset: slice(before + offset, before + offset + last, 2) for offset, weight in weights.items() if weight > 0
    }
    return sum(weights[offset] * (padded[:, :, tap] if dim == 2 else padded[:, tap]) for offset, tap in taps.items())
