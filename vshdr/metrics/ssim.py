"""SSIM of HDR pictures: structural similarity of PU21-encoded luminance."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from vshdr.colour.primaries import luminance
from vshdr.metrics.pu21 import PEAK, pu21_encode

_RADIUS, _SIGMA = 5, 1.5  # of the Gaussian window, in pixels


def pu21_ssim(test: Tensor, reference: Tensor) -> float:
    """Return the SSIM of PU21-encoded luminance of two RGB pictures in nits, N x 3 x H x W; 1 if they are equal.

    The range of values is taken as 256, the encoded value of 100 nits.
    """
    encoded, wanted = (pu21_encode(luminance(picture)).double() for picture in (test, reference))
    return float(ssim(encoded, wanted, PEAK))


def ssim(test: Tensor, reference: Tensor, span: float = 1.0) -> Tensor:
    """Return the mean structural similarity of two pictures, N x C x H x W, at least 11 x 11, whose values range over
    `span`.

    Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural similarity",
    2004: Gaussian windows of 11 x 11 with sigma 1.5, K1 = 0.01, K2 = 0.03, only windows inside the picture, channel by
    channel. Unlike scikit-image's it is differentiable and runs on any device: training uses it as a loss.
    """
    test, reference = (picture.flatten(0, 1).unsqueeze(1) for picture in (test, reference))
    a, b = _blur(test), _blur(reference)
    variances = _blur(test * test) - a * a + _blur(reference * reference) - b * b
    covariance = _blur(test * reference) - a * b
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    similarity = (2 * a * b + c1) * (2 * covariance + c2) / ((a * a + b * b + c1) * (variances + c2))
    return similarity.mean()


def _blur(picture: Tensor) -> Tensor:
    """Return the Gaussian mean around each pixel that is at least 5 from the edge, of N x 1 x H x W."""
    offset = torch.arange(-_RADIUS, _RADIUS + 1, dtype=picture.dtype, device=picture.device)
    kernel = torch.exp(-(offset**2) / (2 * _SIGMA**2))
    kernel = (kernel / kernel.sum()).reshape(1, 1, 1, -1)
    return functional.conv2d(functional.conv2d(picture, kernel), kernel.mT)
