"""Clips of a camera that walks through the procedural harbour, in linear light and as SDR."""

from functools import cache

import torch
from torch import Tensor

from vshdr.camera.simple_camera import simple_camera
from vshdr.synthetic.harbour.scene import CameraPose, render

WIDTH, HEIGHT = 128, 72


@cache
def view(position: float, turn: float = 0.3, seed: int = 0) -> Tensor:
    """Return linear light, 3 x H x W, seen from `position` metres along the quay towards a point 12 metres ahead and
    `turn` metres to the side.
    """
    camera = CameraPose(position=(position, 1.72, 0.0), target=(position + turn, 1.95, 12.0), time=0.1 * turn)
    return render(camera, WIDTH, HEIGHT, samples=1, seed=seed)


def seen(light: Tensor, *, exposure: float = 1.0, seed: int = 0) -> Tensor:
    """Return what an 8-bit SDR camera makes of light: code values in [0, 1] with noise drawn from `seed`."""
    code = simple_camera(light, exposure=exposure, noise=0.02, generator=torch.Generator().manual_seed(seed))
    return (code * 255).round() / 255


def walk(frames: int, *, start: float = 0.0, seed: int = 0) -> list[Tensor]:
    """Return the frames of a slow walk through the harbour that `seed` makes."""
    return [seen(view(start + 0.02 * n, seed=seed), seed=n) for n in range(frames)]


@cache
def two_shots() -> Tensor:
    """Return nine frames of one walk, then eight of another, T x 3 x H x W."""
    return torch.stack(walk(9) + walk(8, start=1.5, seed=3))
