"""What happens to a picture between sensor and screen: noise, limited-range YCbCr, chroma at half size, 8 x 8
DCT quantisation.

Everything is batched and runs on the pictures' device; parameters are tensors of N numbers. BT.709
throughout.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from vshdr.colour.ycbcr import LUMA_709

# The differences of BT.709 that make Cb and Cr span -0.5 to 0.5.
_CB, _CR = 2 * (1 - LUMA_709[2]), 2 * (1 - LUMA_709[0])

# ITU-T T.81, tables K.1 and K.2.
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

Planes = tuple[Tensor, Tensor]
"""Luma N x 1 x H x W in [0, 1] and chroma N x 2 x h x w in [-0.5, 0.5]."""


def sensor_noise(light: Tensor, shot: Tensor, read: Tensor, generator: torch.Generator) -> Tensor:
    """Return light of an exposed sensor with Gaussian noise of variance `shot` * light + `read`^2, >= 0. N x 3 x H x
    W and N numbers each."""
    grain = torch.randn(light.shape, generator=generator, device=light.device)
    deviation = (shot[:, None, None, None] * light + read[:, None, None, None].square()).sqrt()
    return (light + deviation * grain).clamp_min(0.0)


def to_planes(sdr: Tensor, *, subsample: bool) -> Planes:
    """Return luma and chroma of RGB code values. With `subsample`, chroma is the mean of 2 x 2 pixels; height and
    width must be even."""
    red, green, blue = sdr.split(1, dim=1)
    luma = LUMA_709[0] * red + LUMA_709[1] * green + LUMA_709[2] * blue
    chroma = torch.cat(((blue - luma) / _CB, (red - luma) / _CR), dim=1)
    return luma, functional.avg_pool2d(chroma, 2) if subsample else chroma


def from_planes(planes: Planes) -> Tensor:
    """Return RGB code values in [0, 1]; chroma of another size is interpolated linearly."""
    luma, chroma = planes
    if chroma.shape[2:] != luma.shape[2:]:
        chroma = functional.interpolate(chroma, luma.shape[2:], mode="bilinear", align_corners=False)
    cb, cr = chroma.split(1, dim=1)
    red, blue = luma + _CR * cr, luma + _CB * cb
    green = (luma - LUMA_709[0] * red - LUMA_709[2] * blue) / LUMA_709[1]
    return torch.cat((red, green, blue), dim=1).clamp(0.0, 1.0)


def quantise(planes: Planes, bits: Tensor) -> Planes:
    """Rounded to limited-range integers of 8 or 10 bits (N numbers) and back: luma 219, chroma 224 steps of 8
    bits."""
    steps = torch.exp2(bits - 8)[:, None, None, None]
    luma, chroma = planes
    luma = (luma * 219 * steps).round() / (219 * steps)
    return luma, ((chroma * 224 * steps).round() / (224 * steps)).clamp(-0.5, 0.5)


def jpeg_steps(quality: int, *, flat: bool = False) -> tuple[Tensor, Tensor]:
    """Return quantisation steps 8 x 8 of luma and chroma in units of 1/255, for a JPEG quality of 1 to 100 as the
    IJG's library scales it.

    `flat` makes all frequencies' steps alike, as video encoders do: their geometric mean over the lower half
    of frequencies.
    """
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    tables = []
    for table in (_LUMA_STEPS, _CHROMA_STEPS):
        steps = ((torch.tensor(table, dtype=torch.float32) * scale + 50) / 100).floor().clamp(1, 255)
        tables.append(torch.full_like(steps, float(steps[:4, :4].log().mean().exp())) if flat else steps)
    return tables[0], tables[1]


def dct_quantise(planes: Planes, steps: Sequence[tuple[Tensor, Tensor]]) -> Planes:
    """Return planes after quantisation of their 8 x 8 DCT coefficients with each sample's steps of luma and chroma
    (see `jpeg_steps`)."""
    luma, chroma = planes
    luma_steps, chroma_steps = (torch.stack(table).to(luma.device) for table in zip(*steps, strict=True))
    middle = 128 / 255  # what JPEG takes from luma
    return _dct_round(luma - middle, luma_steps) + middle, _dct_round(chroma, chroma_steps)


def _dct_round(plane: Tensor, steps: Tensor) -> Tensor:
    height, width = plane.shape[2:]
    padded = functional.pad(plane, (0, -width % 8, 0, -height % 8), mode="replicate")
    blocks = padded.unflatten(3, (-1, 8)).unflatten(2, (-1, 8)).transpose(3, 4)  # N C rows columns 8 8
    basis, steps = _dct(plane.device), steps[:, None, None, None] / 255
    coefficients = basis @ blocks @ basis.T
    blocks = basis.T @ ((coefficients / steps).round() * steps) @ basis
    return blocks.transpose(3, 4).flatten(4, 5).flatten(2, 3)[:, :, :height, :width]


def _dct(device: torch.device) -> Tensor:
    """Return the orthonormal DCT-II of eight samples."""
    frequency, place = torch.meshgrid(torch.arange(8, device=device), torch.arange(8, device=device), indexing="ij")
    basis = torch.cos((place + 0.5) * frequency * math.pi / 8) / 2
    return torch.where(frequency == 0, basis / math.sqrt(2), basis)
