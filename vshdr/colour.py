"""Transfer functions, primaries and luminance on tensors. All of it is point-wise and works on any device and float
type.

Code values are in [0, 1]. Light is display-linear: relative to SDR white where a function says "linear", else in nits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from vshdr import kernels


def _power(exponent: float) -> Callable[[Tensor], Tensor]:
    def power(code: Tensor) -> Tensor:
        return kernels.power(code, exponent) if kernels.serves_whole(code) else code.clamp_min(0.0).pow(exponent)

    return power


def srgb_eotf(code: Tensor) -> Tensor:
    """IEC 61966-2-1: code values to linear light, 1 to 1."""
    return torch.where(code <= 0.04045, code / 12.92, ((code.clamp_min(0.0) + 0.055) / 1.055).pow(2.4))


EXPONENTS = {"bt1886": 2.4, "gamma22": 2.2, "gamma28": 2.8, "linear": 1.0}
"""Of the SDR display curves that are powers; ITU-R BT.1886 with a black of zero."""

EOTF: dict[str, Callable[[Tensor], Tensor]] = {
    "bt1886": _power(EXPONENTS["bt1886"]),
    "gamma22": _power(EXPONENTS["gamma22"]),
    "gamma28": _power(EXPONENTS["gamma28"]),
    "srgb": srgb_eotf,
    "linear": lambda code: code,
}
"""SDR display curves by name: code values in [0, 1] to linear light in [0, 1]."""

INVERSE_EOTF: dict[str, Callable[[Tensor], Tensor]] = {
    "bt1886": _power(1 / 2.4),
    "gamma22": _power(1 / 2.2),
    "gamma28": _power(1 / 2.8),
    "srgb": lambda light: torch.where(
        light <= 0.0031308, light * 12.92, 1.055 * light.clamp_min(0.0).pow(1 / 2.4) - 0.055
    ),
    "linear": lambda light: light,
}
"""The inverses of `EOTF`."""

# SMPTE ST 2084.
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def pq_encode(nits: Tensor) -> Tensor:
    """SMPTE ST 2084 inverse EOTF: absolute light in nits (clamped to 0..10000) to PQ code values in [0, 1]."""
    y = (nits / 10000.0).clamp(0.0, 1.0).pow(_M1)
    return ((_C1 + _C2 * y) / (1.0 + _C3 * y)).pow(_M2)


def pq_decode(code: Tensor) -> Tensor:
    """SMPTE ST 2084 EOTF: PQ code values in [0, 1] to nits."""
    v = code.clamp(0.0, 1.0).pow(1 / _M2)
    return ((v - _C1).clamp_min(0.0) / (_C2 - _C3 * v)).pow(1 / _M1) * 10000.0


# HLG as shown at 1000 nits, black at zero (ITU-R BT.2100-2, tables 5 and 6): the system gamma, and the curve's numbers.
HLG_PEAK = 1000.0
_HLG_GAMMA = 1.2
_HLG_A, _HLG_B, _HLG_C = 0.17883277, 0.28466892, 0.55991073


def hlg_encode(nits: Tensor) -> Tensor:
    """Light of a display of 1000 nits, N x 3 x H x W in BT.2020 primaries, to HLG code values, which pass 1 where a
    colour is as bright as the display and saturated. Negative light is taken for none.

    The inverse of the system gamma acts on luminance (BT.2100-2), and so keeps hue: zimg has it act on each channel.
    """
    shown = nits.clamp_min(0.0) / HLG_PEAK
    scene = shown * luminance(shown, 9).clamp_min(1e-6).pow(1.0 / _HLG_GAMMA - 1.0)
    curved = _HLG_A * torch.log((12.0 * scene - _HLG_B).clamp_min(1e-6)) + _HLG_C
    return torch.where(scene <= 1.0 / 12.0, (3.0 * scene).sqrt(), curved)


def hlg_decode(code: Tensor) -> Tensor:
    """The inverse of `hlg_encode`; code values below 0 are taken as 0."""
    code = code.clamp_min(0.0)
    scene = torch.where(code <= 0.5, code.square() / 3.0, (torch.exp((code - _HLG_C) / _HLG_A) + _HLG_B) / 12.0)
    return HLG_PEAK * scene * luminance(scene, 9).clamp_min(1e-6).pow(_HLG_GAMMA - 1.0)


# D65 and the primaries' xy of ITU-R BT.709 and BT.2020.
_WHITE_D65 = (0.3127, 0.3290)
_PRIMARIES_XY = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
}


def chromaticities(primaries: int) -> tuple[tuple[float, float], ...]:
    """The xy of red, green, blue and white for H.273 primaries 1 (BT.709) or 9 (BT.2020)."""
    return (*_PRIMARIES_XY[primaries], _WHITE_D65)


def rgb_to_xyz(primaries: int) -> Tensor:
    """The 3 x 3 matrix from linear RGB to CIE XYZ with Y = 1 for white (SMPTE RP 177), in float64."""
    xyz = [[x / y, 1.0, (1.0 - x - y) / y] for x, y in chromaticities(primaries)]
    columns = torch.tensor(xyz[:3], dtype=torch.float64).T
    scale = torch.linalg.solve(columns, torch.tensor(xyz[3], dtype=torch.float64))
    return columns * scale


def primaries_matrix(source: int, target: int) -> Tensor:
    """The 3 x 3 matrix from linear RGB of one set of primaries to another (H.273 numbers 1 and 9), in float64."""
    return torch.linalg.inv(rgb_to_xyz(target)) @ rgb_to_xyz(source)


def rows_to_nits(white: float, primaries: int) -> list[list[float]]:
    """The matrix that takes linear light, 1.0 = `white` nits, of H.273 `primaries` (1 or 9) to nits of BT.2020."""
    return (primaries_matrix(primaries, 9) * white).tolist()


def convert_primaries(linear: Tensor, source: int, target: int) -> Tensor:
    """Linear RGB, N x 3 x H x W, from one set of primaries to another (H.273 numbers 1 and 9)."""
    if source == target:
        return linear
    matrix = primaries_matrix(source, target).to(linear)
    return torch.einsum("ij,njhw->nihw", matrix, linear)


GAIN_FLOOR = 1e-5
"""Added to light before a ratio of it is taken: keeps gain finite in black. Far below the darkest code of ten bits."""


def gain_of(base: Tensor, linear: Tensor) -> Tensor:
    """The gain in stops that takes `base`, linearised SDR, to `linear`; any shape, both >= 0."""
    if kernels.serves_whole(base, linear):
        return kernels.gain_of(base, linear, GAIN_FLOOR)
    return torch.log2((linear + GAIN_FLOOR) / (base + GAIN_FLOOR))


def light_of(base: Tensor, gain: Tensor) -> Tensor:
    """`base`, linearised SDR, brightened by `gain` stops; the inverse of `gain_of`. Nothing is negative."""
    if kernels.serves_whole(base, gain):
        return kernels.light_of(base, gain, GAIN_FLOOR)
    return ((base + GAIN_FLOOR) * torch.exp2(gain) - GAIN_FLOOR).clamp_min(0.0)


LUMA_709 = (0.2126, 0.7152, 0.0722)
"""Weights of red, green and blue code values in luma (ITU-R BT.709)."""


def ramp(values: Tensor, low: float, high: float) -> Tensor:
    """0 up to `low`, 1 from `high` on, straight between; any shape."""
    return ((values - low) / (high - low)).clamp(0.0, 1.0)


def luminance(linear: Tensor, primaries: int = 1) -> Tensor:
    """Relative luminance of linear RGB, N x 3 x H x W to N x 1 x H x W; 1.0 for white."""
    red, green, blue = linear.split(1, dim=1)
    of_red, of_green, of_blue = rgb_to_xyz(primaries)[1].tolist()  # numbers: a tensor would have to go to the device
    return of_red * red + of_green * green + of_blue * blue


class RollOff(NamedTuple):
    """How light rolls off below a ceiling, in multiples of SDR white.

    The largest component x of a pixel follows k + (1 - exp(-s (x - k))) / s above k, which is smooth there and takes
    the largest value that can come in to the ceiling. R, G and B share one factor, which keeps hue.
    """

    start: float
    """k; infinite where nothing is bent."""
    slope: float
    """s, above 0."""
    ceiling: float
    """What no component passes."""

    @classmethod
    def below(cls, ceiling: float, knee: float = 0.75, brightest: float = math.inf) -> RollOff:
        """The roll-off from `knee * ceiling`, but not from below SDR white, up to `ceiling`.

        Light up to `brightest` can come in: light that hardly passes the ceiling is hardly bent, and where it never
        does, nothing is. With no bound the ceiling is never reached.
        """
        if brightest <= ceiling:
            return cls(math.inf, 1.0, ceiling)
        start = max(min(1.0, ceiling), knee * ceiling)
        return cls(start, _saturation(brightest - start, ceiling - start), ceiling)


def soft_ceiling(linear: Tensor, ceiling: float, knee: float = 0.75, brightest: float = math.inf) -> Tensor:
    """Rolls light, N x 3 x H x W, >= 0, off as `RollOff.below` describes. An infinite ceiling changes nothing."""
    return roll_off(linear, RollOff.below(ceiling, knee, brightest))


def roll_off(linear: Tensor, curve: RollOff) -> Tensor:
    """`linear`, N x 3 x H x W, >= 0, rolled off."""
    start, slope, ceiling = curve
    if not math.isinf(start):
        largest = linear.amax(dim=1, keepdim=True)
        rolled = start - torch.expm1(-slope * (largest - start).clamp_min(0.0)) / slope
        linear = torch.where(largest > start, linear * (rolled / largest.clamp_min(1e-6)), linear)
    return linear if math.isinf(ceiling) else linear.clamp_max(ceiling)


def _saturation(reach: float, span: float) -> float:
    """The s for which (1 - exp(-s reach)) / s is `span`, which is the smaller: by bisection, as it falls with s."""
    if span <= 0.0:
        return 1e30  # at once: what is above the start goes to the start
    low, high = 0.0, 1.0 / span
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if -math.expm1(-middle * reach) / middle > span else (low, middle)
    return high
