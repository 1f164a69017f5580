"""Transfer functions on tensors: SDR display curves, PQ and HLG. All are point-wise and work on any device.

Code values are in [0, 1]. Light is display-linear: relative to SDR white where a function says "linear", else in nits.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vshdr import kernels
from vshdr.colour.primaries import luminance


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
    """Return light of a display of 1000 nits, N x 3 x H x W in BT.2020 primaries, to HLG code values, which pass 1
    where a colour is as bright as the display and saturated. Negative light is taken for none.

    The inverse of the system gamma acts on luminance (BT.2100-2), and so keeps hue: zimg has it act on each channel.
    """
    shown = nits.clamp_min(0.0) / HLG_PEAK
    scene = shown * luminance(shown, 9).clamp_min(1e-6).pow(1.0 / _HLG_GAMMA - 1.0)
    curved = _HLG_A * torch.log((12.0 * scene - _HLG_B).clamp_min(1e-6)) + _HLG_C
    return torch.where(scene <= 1.0 / 12.0, (3.0 * scene).sqrt(), curved)


def hlg_decode(code: Tensor) -> Tensor:
    """Return the inverse of `hlg_encode`; code values below 0 are taken as 0."""
    code = code.clamp_min(0.0)
    scene = torch.where(code <= 0.5, code.square() / 3.0, (torch.exp((code - _HLG_C) / _HLG_A) + _HLG_B) / 12.0)
    return HLG_PEAK * scene * luminance(scene, 9).clamp_min(1e-6).pow(_HLG_GAMMA - 1.0)
