"""Correction of the camera response: removes what a wrong guess of the camera's curve did to a picture, before it is
compared with a reference.

Hanji, Mantiuk, Eilertsen, Hajisharif and Unger, "Comparison of single image HDR reconstruction methods: the caveats of
quality assessment", SIGGRAPH 2022, who call it CRF correction; with the defaults of their code.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vshdr.colour.h273 import Primaries
from vshdr.colour.primaries import rgb_to_xyz
from vshdr.colour.transfer import pq_decode, pq_encode

DARKEST = 0.005
"""Nits: darker light is raised to this."""
_DEGREE = 3  # of the polynomials
_RIDGE = 0.01  # s of `correct_camera_response`
_CHROMA_SCALE = 410 / 255  # brings u' and v' of real colours to about [0, 1]


def correct_camera_response(test: Tensor, reference: Tensor) -> Tensor:
    """Return `test` after the tone curve and colour cast that bring it closest to `reference`, so that only its other
    faults are left.

    Both are RGB in nits, N x 3 x H x W, BT.709, and so is the result, which is not negative. Each picture is corrected
    by itself. PQ-encoded luminance is mapped by a cubic, fitted by least squares. The chromaticity u'v' is mapped by a
    bivariate cubic, fitted by a ridge regression towards the identity: W = (X^T X + s I)^-1 (X^T Y + s W0), with
    s = 0.01 pixels / columns of X.
    """
    return torch.stack([_correct(*pair) for pair in zip(test, reference, strict=True)])


def _correct(test: Tensor, reference: Tensor) -> Tensor:
    light, chroma = _to_yuv(test.double().clamp_min(DARKEST))
    light_wanted, chroma_wanted = _to_yuv(reference.double().clamp_min(DARKEST))
    code = pq_encode(light)
    powers = torch.stack([code**degree for degree in range(_DEGREE + 1)], dim=1)
    cubic = torch.linalg.lstsq(powers, pq_encode(light_wanted)[:, None]).solution[:, 0]
    darkest = pq_encode(torch.tensor(DARKEST, dtype=torch.float64, device=code.device))
    light = pq_decode((powers @ cubic).maximum(darkest))
    chroma = _ridge(_chroma_terms(chroma), chroma_wanted)
    return _from_yuv(light, chroma).clamp_min(0.0).T.reshape(test.shape).to(test)


def _ridge(terms: Tensor, wanted: Tensor) -> Tensor:
    """Return the combination of `terms`, pixels x 8, closest to `wanted`, pixels x 2, by ridge regression."""
    columns = terms.shape[1]
    identity = torch.zeros(columns, 2, dtype=terms.dtype, device=terms.device)
    identity[5, 0] = identity[6, 1] = 1.0
    weight = _RIDGE * len(terms) / columns
    normal = terms.T @ terms + weight * torch.eye(columns, dtype=terms.dtype, device=terms.device)
    return terms @ torch.linalg.solve(normal, terms.T @ wanted + weight * identity)


def _chroma_terms(chroma: Tensor) -> Tensor:
    """Return the terms of the bivariate cubic, pixels x 8; u is column 5 and v column 6."""
    u, v = chroma.unbind(1)
    return torch.stack((u**3, v**3, u**2, v**2, u * v, u, v, torch.ones_like(u)), dim=1)


def _to_yuv(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """Return RGB in nits, 3 x H x W, as luminance, one per pixel, and scaled CIE 1976 u'v', pixels x 2."""
    x, y, z = (rgb_to_xyz(Primaries.BT709).to(rgb) @ rgb.flatten(1)).clamp_min(1e-4)
    whole = x + 15.0 * y + 3.0 * z
    return y, torch.stack((4.0 * x / whole, 9.0 * y / whole), dim=1) * _CHROMA_SCALE


def _from_yuv(light: Tensor, chroma: Tensor) -> Tensor:
    """Return RGB, pixels x 3: the inverse of `_to_yuv`."""
    u, v = (chroma / _CHROMA_SCALE).unbind(1)
    v = v.clamp_min(1e-4)
    x, z = light * 9.0 * u / (4.0 * v), light * (12.0 - 3.0 * u - 20.0 * v) / (4.0 * v)
    return torch.stack((x, light, z), dim=1) @ torch.linalg.inv(rgb_to_xyz(Primaries.BT709).to(light)).T
