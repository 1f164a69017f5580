"""The response of digital cameras: the curve from exposed light to code values."""

from __future__ import annotations

from torch import Tensor


def camera_response(light: Tensor, n: float = 0.9, sigma: float = 0.6) -> Tensor:
    """Return code values (1 + sigma) h^n / (h^n + sigma) of exposed scene light h; 0 and 1 stay 0 and 1.

    Eilertsen, Kronander, Denes, Mantiuk and Unger, "HDR image reconstruction from a single exposure using deep CNNs",
    SIGGRAPH Asia 2017. n = 0.9 and sigma = 0.6 are the mean of their fit to measured cameras.
    """
    power = light.clamp_min(0.0).pow(n)
    return (1.0 + sigma) * power / (power + sigma)
