"""Primaries, the matrices between them, and luminance, on tensors."""

from __future__ import annotations

import torch
from torch import Tensor

# D65 and the primaries' xy of ITU-R BT.709 and BT.2020.
_WHITE_D65 = (0.3127, 0.3290)
_PRIMARIES_XY = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
}


def chromaticities(primaries: int) -> tuple[tuple[float, float], ...]:
    """Return the xy of red, green, blue and white for H.273 primaries 1 (BT.709) or 9 (BT.2020)."""
    return (*_PRIMARIES_XY[primaries], _WHITE_D65)


def rgb_to_xyz(primaries: int) -> Tensor:
    """Return the 3 x 3 matrix from linear RGB to CIE XYZ with Y = 1 for white (SMPTE RP 177), in float64."""
    xyz = [[x / y, 1.0, (1.0 - x - y) / y] for x, y in chromaticities(primaries)]
    columns = torch.tensor(xyz[:3], dtype=torch.float64).T
    scale = torch.linalg.solve(columns, torch.tensor(xyz[3], dtype=torch.float64))
    return columns * scale


def primaries_matrix(source: int, target: int) -> Tensor:
    """Return the 3 x 3 matrix from linear RGB of one set of primaries to another (H.273 numbers 1 and
    9), in float64.
    """
    return torch.linalg.inv(rgb_to_xyz(target)) @ rgb_to_xyz(source)


def rows_to_nits(white: float, primaries: int) -> list[list[float]]:
    """Return the matrix that takes linear light, 1.0 = `white` nits, of H.273 `primaries` (1 or 9) to
    nits of BT.2020.
    """
    return (primaries_matrix(primaries, 9) * white).tolist()


def convert_primaries(linear: Tensor, source: int, target: int) -> Tensor:
    """Return linear RGB, N x 3 x H x W, from one set of primaries to another (H.273 numbers 1 and 9)."""
    if source == target:
        return linear
    matrix = primaries_matrix(source, target).to(linear)
    return torch.einsum("ij,njhw->nihw", matrix, linear)


LUMA_709 = (0.2126, 0.7152, 0.0722)
"""Weights of red, green and blue code values in luma (ITU-R BT.709)."""


def luminance(linear: Tensor, primaries: int = 1) -> Tensor:
    """Return relative luminance of linear RGB, N x 3 x H x W to N x 1 x H x W; 1.0 for white."""
    red, green, blue = linear.split(1, dim=1)
    of_red, of_green, of_blue = rgb_to_xyz(primaries)[1].tolist()  # numbers: a tensor would have to go to the device
    return of_red * red + of_green * green + of_blue * blue
