"""Transfer functions on tensors: SDR display curves, PQ and HLG. All work on any device.

Code values are in [0, 1]. Light is display-linear: relative to SDR white where a function says "linear", else in nits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vshdr import kernels
from vshdr.colour.h273 import Primaries
from vshdr.colour.primaries import luminance


def _power(exponent: float) -> Callable[[Tensor], Tensor]:
    def power(code: Tensor) -> Tensor:
        return kernels.power(code, exponent) if kernels.serves_whole(code) else code.clamp_min(0.0).pow(exponent)

    return power


def _srgb_eotf(code: Tensor) -> Tensor:
    return torch.where(code <= 0.04045, code / 12.92, ((code.clamp_min(0.0) + 0.055) / 1.055).pow(2.4))


def _srgb_inverse_eotf(light: Tensor) -> Tensor:
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light.clamp_min(0.0).pow(1 / 2.4) - 0.055)


EXPONENTS = {"bt1886": 2.4, "gamma22": 2.2, "gamma28": 2.8, "linear": 1.0}
"""Exponents of the SDR display curves that are powers. "bt1886" is ITU-R BT.1886 with a black of zero."""

EOTF: dict[str, Callable[[Tensor], Tensor]] = {
    "bt1886": _power(EXPONENTS["bt1886"]),
    "gamma22": _power(EXPONENTS["gamma22"]),
    "gamma28": _power(EXPONENTS["gamma28"]),
    "srgb": _srgb_eotf,
    "linear": lambda code: code,
}
"""SDR display curves by name: code values in [0, 1] to linear light in [0, 1]. "srgb" is IEC 61966-2-1."""

INVERSE_EOTF: dict[str, Callable[[Tensor], Tensor]] = {
    "bt1886": _power(1 / EXPONENTS["bt1886"]),
    "gamma22": _power(1 / EXPONENTS["gamma22"]),
    "gamma28": _power(1 / EXPONENTS["gamma28"]),
    "srgb": _srgb_inverse_eotf,
    "linear": lambda light: light,
}
"""The inverses of `EOTF`."""

# PQ: the constants of SMPTE ST 2084 (ITU-R BT.2100-2, table 4).
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32

PQ_PEAK = 10000.0
"""The end of PQ's scale in nits."""


def pq_encode(nits: Tensor) -> Tensor:
    """Return PQ code values in [0, 1] of light in nits, clamped to 0..10000: the inverse EOTF of SMPTE ST 2084."""
    y = (nits / PQ_PEAK).clamp(0.0, 1.0).pow(_M1)
    return ((_C1 + _C2 * y) / (1.0 + _C3 * y)).pow(_M2)


def pq_decode(code: Tensor) -> Tensor:
    """Return nits of PQ code values in [0, 1]: the EOTF of SMPTE ST 2084."""
    v = code.clamp(0.0, 1.0).pow(1 / _M2)
    return ((v - _C1).clamp_min(0.0) / (_C2 - _C3 * v)).pow(1 / _M1) * PQ_PEAK


HLG_PEAK = 1000.0
"""Nits of the display that HLG is made for here, with a black of zero."""

# HLG: the system gamma at 1000 nits and the constants of the curve (ITU-R BT.2100-2, table 5).
_HLG_GAMMA = 1.2
_HLG_A, _HLG_B, _HLG_C = 0.17883277, 0.28466892, 0.55991073


def hlg_encode(nits: Tensor) -> Tensor:
    """Return HLG code values of the light of a display of 1000 nits, N x 3 x H x W in BT.2020 primaries.

    Codes pass 1 where a colour is as bright as the display and saturated. Negative light counts as none. The inverse of
    the system gamma is applied to luminance (ITU-R BT.2100-2, table 5), which keeps hue; zimg applies it to each
    channel, which does not.
    """
    shown = nits.clamp_min(0.0) / HLG_PEAK
    scene = shown * luminance(shown, Primaries.BT2020).clamp_min(1e-6).pow(1.0 / _HLG_GAMMA - 1.0)
    curved = _HLG_A * torch.log((12.0 * scene - _HLG_B).clamp_min(1e-6)) + _HLG_C
    return torch.where(scene <= 1.0 / 12.0, (3.0 * scene).sqrt(), curved)


def hlg_decode(code: Tensor) -> Tensor:
    """Return nits of HLG code values, N x 3 x H x W: the inverse of `hlg_encode`. Codes below 0 count as 0."""
    code = code.clamp_min(0.0)
    scene = torch.where(code <= 0.5, code.square() / 3.0, (torch.exp((code - _HLG_C) / _HLG_A) + _HLG_B) / 12.0)
    return HLG_PEAK * scene * luminance(scene, Primaries.BT2020).clamp_min(1e-6).pow(_HLG_GAMMA - 1.0)


def encode_hdr(linear: Tensor, transfer: str, to_nits: Sequence[Sequence[float]]) -> Tensor:
    """Return BT.2020 code values of linear light, N x 3 x H x W; `transfer` is "pq" or "hlg".

    `to_nits` is what `vshdr.colour.primaries.matrix_to_bt2020_nits` returns.
    """
    red, green, blue = linear.unbind(1)
    nits = [row[0] * red + row[1] * green + row[2] * blue for row in to_nits]
    if transfer == "pq":
        return torch.stack([pq_encode(channel) for channel in nits], dim=1)
    return hlg_encode(torch.stack(nits, dim=1))
