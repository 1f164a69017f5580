"""Primaries (BT.709, BT.2020, Display P3), the matrices between them, and luminance, on tensors."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vshdr.colour.h273 import Primaries


class Chromaticities(NamedTuple):
    """CIE 1931 xy of the primaries and of white."""

    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]
    white: tuple[float, float]


_D65 = (0.3127, 0.3290)
_CHROMATICITIES = {
    Primaries.BT709: Chromaticities((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65),
    Primaries.DISPLAY_P3: Chromaticities((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    Primaries.BT2020: Chromaticities((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
}


def chromaticities(primaries: Primaries) -> Chromaticities:
    """Return the xy of BT.709, BT.2020 or Display P3 (H.273, table 2); no others are known."""
    return _CHROMATICITIES[primaries]


def rgb_to_xyz(primaries: Primaries) -> Tensor:
    """Return the 3 x 3 matrix from linear RGB to CIE XYZ with Y = 1 for white (SMPTE RP 177), in float64."""
    xyz = [[x / y, 1.0, (1.0 - x - y) / y] for x, y in chromaticities(primaries)]
    columns = torch.tensor(xyz[:3], dtype=torch.float64).T
    scale = torch.linalg.solve(columns, torch.tensor(xyz[3], dtype=torch.float64))
    return columns * scale


def primaries_matrix(source: Primaries, target: Primaries) -> Tensor:
    """Return the 3 x 3 matrix from linear RGB of one set of primaries to another, in float64."""
    return torch.linalg.inv(rgb_to_xyz(target)) @ rgb_to_xyz(source)


def matrix_to_bt2020_nits(white: float, primaries: Primaries) -> list[list[float]]:
    """Return the rows of the 3 x 3 matrix from linear RGB of `primaries`, 1.0 = `white` nits, to nits of BT.2020.

    They are plain numbers, because a tensor would have to travel to the device that uses it.
    """
    return (primaries_matrix(primaries, Primaries.BT2020) * white).tolist()


def convert_primaries(linear: Tensor, source: Primaries, target: Primaries) -> Tensor:
    """Return linear RGB, N x 3 x H x W, from one set of primaries to another; negative where `target` is too narrow."""
    if source == target:
        return linear
    matrix = primaries_matrix(source, target).to(linear)
    return torch.einsum("ij,njhw->nihw", matrix, linear)


def luminance(linear: Tensor, primaries: Primaries = Primaries.BT709) -> Tensor:
    """Return relative luminance of linear RGB, N x 3 x H x W to N x 1 x H x W; 1.0 for white."""
    red, green, blue = linear.split(1, dim=1)
    of_red, of_green, of_blue = rgb_to_xyz(primaries)[1].tolist()  # numbers: a tensor would have to go to the device
    return of_red * red + of_green * green + of_blue * blue
