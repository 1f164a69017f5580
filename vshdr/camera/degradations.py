"""What a picture loses between sensor and screen: noise, limited-range YCbCr, chroma subsampling, DCT quantisation.

Everything is batched and runs on the pictures' device; parameters are tensors of N numbers. All is BT.709.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from vshdr.colour.ycbcr import LUMA_709

# Cb = (B - Y) / _CB and Cr = (R - Y) / _CR span -0.5 to 0.5 (BT.709).
_CB, _CR = 2 * (1 - LUMA_709[2]), 2 * (1 - LUMA_709[0])

# JPEG's quantisation tables: ITU-T T.81, tables K.1 and K.2.
_LUMA_STEPS = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA_STEPS = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)


class Planes(NamedTuple):
    """YCbCr of N pictures."""

    luma: Tensor
    """N x 1 x H x W in [0, 1]."""
    chroma: Tensor
    """N x 2 x h x w in [-0.5, 0.5]."""


class DctSteps(NamedTuple):
    """Steps of the quantisation of 8 x 8 DCT coefficients, in units of 1/255."""

    luma: Tensor
    """8 x 8."""
    chroma: Tensor
    """8 x 8."""


def sensor_noise(light: Tensor, shot: Tensor, read: Tensor, generator: torch.Generator) -> Tensor:
    """Return exposed light, N x 3 x H x W, with Gaussian noise of variance `shot` * light + `read`^2, not below 0.

    `shot` and `read` are N numbers each.
    """
    grain = torch.randn(light.shape, generator=generator, device=light.device)
    deviation = (shot[:, None, None, None] * light + read[:, None, None, None].square()).sqrt()
    return (light + deviation * grain).clamp_min(0.0)


def to_planes(sdr: Tensor, *, subsample: bool) -> Planes:
    """Return RGB code values, N x 3 x H x W, as YCbCr. With `subsample`, chroma is the mean of 2 x 2 pixels; height and
    width must then be even."""
    red, green, blue = sdr.split(1, dim=1)
    luma = LUMA_709[0] * red + LUMA_709[1] * green + LUMA_709[2] * blue
    chroma = torch.cat(((blue - luma) / _CB, (red - luma) / _CR), dim=1)
    return Planes(luma, functional.avg_pool2d(chroma, 2) if subsample else chroma)


def from_planes(planes: Planes) -> Tensor:
    """Return RGB code values in [0, 1], N x 3 x H x W. Subsampled chroma is interpolated bilinearly."""
    luma, chroma = planes
    if chroma.shape[2:] != luma.shape[2:]:
        chroma = functional.interpolate(chroma, luma.shape[2:], mode="bilinear", align_corners=False)
    cb, cr = chroma.split(1, dim=1)
    red, blue = luma + _CR * cr, luma + _CB * cb
    green = (luma - LUMA_709[0] * red - LUMA_709[2] * blue) / LUMA_709[1]
    return torch.cat((red, green, blue), dim=1).clamp(0.0, 1.0)


def quantise(planes: Planes, bits: Tensor) -> Planes:
    """Return `planes` rounded to limited-range integers of `bits`, N numbers of 8 or more. At 8 bits luma has 219 steps
    and chroma 224."""
    steps = torch.exp2(bits - 8)[:, None, None, None]
    luma, chroma = planes
    luma = (luma * 219 * steps).round() / (219 * steps)
    return Planes(luma, ((chroma * 224 * steps).round() / (224 * steps)).clamp(-0.5, 0.5))


def jpeg_steps(quality: int, *, flat: bool = False) -> DctSteps:
    """Return the quantisation steps of a JPEG quality of 1 to 100, as the IJG's library scales them.

    With `flat` all frequencies have the same step, as in video encoders: the geometric mean of the steps of the lower
    half of frequencies in each direction.
    """
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    tables = []
    for table in (_LUMA_STEPS, _CHROMA_STEPS):
        steps = ((torch.tensor(table, dtype=torch.float32) * scale + 50) / 100).floor().clamp(1, 255)
        tables.append(torch.full_like(steps, float(steps[:4, :4].log().mean().exp())) if flat else steps)
    return DctSteps(*tables)


def dct_quantise(planes: Planes, steps: Sequence[DctSteps]) -> Planes:
    """Return `planes` after quantisation of their 8 x 8 DCT coefficients by N steps (see `jpeg_steps`)."""
    luma, chroma = planes
    luma_steps, chroma_steps = (torch.stack(table).to(luma.device) for table in zip(*steps, strict=True))
    middle = 128 / 255  # JPEG's level shift of luma
    return Planes(_dct_round(luma - middle, luma_steps) + middle, _dct_round(chroma, chroma_steps))


def _dct_round(plane: Tensor, steps: Tensor) -> Tensor:
    """Return `plane`, N x C x H x W, with its DCT coefficients rounded to multiples of `steps`, N x 8 x 8."""
    height, width = plane.shape[2:]
    padded = functional.pad(plane, (0, -width % 8, 0, -height % 8), mode="replicate")
    blocks = padded.unflatten(3, (-1, 8)).unflatten(2, (-1, 8)).transpose(3, 4)  # N C rows columns 8 8
    basis, steps = _dct(plane.device), steps[:, None, None, None] / 255
    coefficients = basis @ blocks @ basis.T
    blocks = basis.T @ ((coefficients / steps).round() * steps) @ basis
    return blocks.transpose(3, 4).flatten(4, 5).flatten(2, 3)[:, :, :height, :width]


def _dct(device: torch.device) -> Tensor:
    """Return the orthonormal DCT-II of eight samples, 8 x 8, a frequency per row."""
    frequency, place = torch.meshgrid(torch.arange(8, device=device), torch.arange(8, device=device), indexing="ij")
    basis = torch.cos((place + 0.5) * frequency * math.pi / 8) / 2
    return torch.where(frequency == 0, basis / math.sqrt(2), basis)
