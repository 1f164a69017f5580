"""The simplest SDR camera: exposure, noise, clipping and one curve. `virtual_camera` is the one that varies."""

from __future__ import annotations

import torch
from torch import Tensor

from vshdr.colour.camera_response import camera_response
from vshdr.colour.transfer import INVERSE_EOTF
from vshdr.errors import InputError


def simple_camera(
    linear: Tensor,
    *,
    exposure: float = 1.0,
    curve: str = "sigmoid",
    noise: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return the code values in [0, 1], not quantised, that a camera makes of linear light of any shape.

    The light is multiplied by `exposure`. Gaussian noise with standard deviation `noise` in linear light, drawn from
    `generator`, is added. The sum is clipped to [0, 1] and encoded by `curve`: "sigmoid" (`camera_response`) or a key
    of `colour.transfer.INVERSE_EOTF`. With "bt1886" a display shows the scene's own light wherever it was not clipped.
    Raise InputError for another curve.
    """
    if curve != "sigmoid" and curve not in INVERSE_EOTF:
        raise InputError(f"unknown camera curve {curve!r}: choose from sigmoid, {', '.join(INVERSE_EOTF)}")
    light = linear * exposure
    if noise:
        grain = torch.randn(light.shape, generator=generator, device=light.device, dtype=light.dtype)
        light = light + noise * grain
    light = light.clamp(0.0, 1.0)
    return camera_response(light) if curve == "sigmoid" else INVERSE_EOTF[curve](light)
