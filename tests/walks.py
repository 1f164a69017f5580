"""Walks through the procedural harbour, as an SDR camera sees them."""

from functools import cache

import torch
from torch import Tensor

from vshdr.camera.simple_camera import simple_camera
from vshdr.synthetic.harbour.scene import CameraPose, render

WIDTH, HEIGHT = 128, 72


@cache
def view(position: float, turn: float = 0.3, seed: int = 0) -> Tensor:
    """Linear light, 3 x H x W, from a place on the quay, looking aside by `turn` metres at 12 metres."""
    camera = CameraPose(position=(position, 1.72, 0.0), target=(position + turn, 1.95, 12.0), time=0.1 * turn)
    return render(camera, WIDTH, HEIGHT, samples=1, seed=seed)


def seen(light: Tensor, *, exposure: float = 1.0, seed: int = 0) -> Tensor:
    """Code values of eight bits, with noise that `seed` decides."""
    code = simple_camera(light, exposure=exposure, noise=0.02, generator=torch.Generator().manual_seed(seed))
    return (code * 255).round() / 255


def walk(frames: int, *, start: float = 0.0, seed: int = 0) -> list[Tensor]:
    """A slow walk through the harbour of `seed`."""
    return [seen(view(start + 0.02 * n, seed=seed), seed=n) for n in range(frames)]


@cache
def two_shots() -> Tensor:
    """Nine frames of one walk, then eight of another."""
    return torch.stack(walk(9) + walk(8, start=1.5, seed=3))
