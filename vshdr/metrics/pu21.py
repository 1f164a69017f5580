"""PU21: a perceptually uniform encoding of light in nits, and the PSNR of encoded pictures."""

from __future__ import annotations

import torch
from torch import Tensor

# Mantiuk and Azimi, "PU21: A novel perceptually uniform encoding for adapting existing quality metrics for HDR", PCS
# 2021, with the parameters of "banding_glare", which the authors recommend.
_P = (0.353487901, 0.3734658629, 8.277049286e-05, 0.9062562627, 0.09150303166, 0.9099517204, 596.3148142)
DARKEST, BRIGHTEST = 0.005, 10000.0
"""The range of light, in nits, for which the encoding is defined."""
PEAK = 256.0
"""The encoded value of 100 nits. It is the peak of PU21-PSNR, so that its decibels compare with those of SDR."""


def pu21_encode(nits: Tensor) -> Tensor:
    """Return light in nits, clamped to [0.005, 10000], in PU21 units, [0, 595.4]; 100 nits is 256."""
    power = nits.clamp(DARKEST, BRIGHTEST).pow(_P[3])
    return (_P[6] * (((_P[0] + _P[1] * power) / (1.0 + _P[2] * power)).pow(_P[4]) - _P[5])).clamp_min(0.0)


def pu21_decode(encoded: Tensor) -> Tensor:
    """Return PU21 units as light in nits: the inverse of `pu21_encode`."""
    ratio = (encoded / _P[6] + _P[5]).clamp_min(0.0).pow(1.0 / _P[4])
    return ((ratio - _P[0]).clamp_min(0.0) / (_P[1] - _P[2] * ratio)).pow(1.0 / _P[3])


def pu21_psnr(test: Tensor, reference: Tensor) -> float:
    """Return the PSNR in decibels of two RGB pictures in nits, N x 3 x H x W, over all encoded samples.

    It is infinite for equal pictures.
    """
    error = (pu21_encode(test) - pu21_encode(reference)).double().square().mean()
    return float(10.0 * torch.log10(PEAK**2 / error))
