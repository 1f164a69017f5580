"""Textures of the procedural scene's surfaces, and the noise of which textures and clouds are made."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Colour = tuple[float, float, float]
"""Linear RGB, BT.709 primaries, 1.0 = SDR white."""


def noise(lattice: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return value noise in [0, 1], interpolated smoothly between `lattice`, 256 x 256; a cell is one unit wide."""
    column, row = x.floor(), y.floor()
    u, v = x - column, y - row
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    i, j = column.long() % 256, row.long() % 256
    i1, j1 = (i + 1) % 256, (j + 1) % 256
    top = torch.lerp(lattice[j, i], lattice[j, i1], u)
    return torch.lerp(top, torch.lerp(lattice[j1, i], lattice[j1, i1], u), v)


def fbm(lattice: Tensor, x: Tensor, y: Tensor, octaves: int) -> Tensor:
    """Return fractal Brownian motion in [0, 1]: a sum of `noise`, each octave half as strong and twice as fine."""
    total = torch.zeros_like(x)
    for octave in range(octaves):
        finer = 2**octave
        total += noise(lattice, x * finer + 17.3 * octave, y * finer + 9.1 * octave) / (2 * finer)
    return total / (1 - 0.5**octaves)


def _cell(lattice: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return one random number in [0, 1] per unit cell."""
    return lattice[y.floor().long() % 256, x.floor().long() % 256]


def mix(low: Tensor | Colour, high: Tensor | Colour, share: Tensor) -> Tensor:
    """Return colours, N x 3: `low` where `share`, N, is 0, `high` where it is 1, interpolated linearly."""
    low, high = (torch.as_tensor(end, dtype=torch.float32, device=share.device) for end in (low, high))
    return low + (high - low) * share[:, None]


Pattern = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""A texture. It takes points and outward normals in the object's own axes, its albedo (all N x 3), and the lattice of
`noise`. It gives albedo and emission, N x 3 each.
"""


def _plain(local: Tensor, normal: Tensor, albedo: Tensor, lattice: Tensor) -> tuple[Tensor, Tensor]:
    return albedo, torch.zeros_like(albedo)


def _tiles(local: Tensor, normal: Tensor, albedo: Tensor, lattice: Tensor) -> tuple[Tensor, Tensor]:
    row = local[:, 2] / 0.75
    x, z = local[:, 0] / 1.1 + 0.5 * (row.floor() % 2), row
    joint = torch.minimum((x % 1.0 - 0.5).abs() * -1.1, (z % 1.0 - 0.5).abs() * -0.75 - 0.175) + 0.55
    grain = fbm(lattice, local[:, 0] * 3, local[:, 2] * 3, 4)
    stone = 0.70 + 0.45 * _cell(lattice, x, z) + 0.5 * (grain - 0.5)
    stone = stone * (0.45 + 0.55 * ((joint - 0.012) / 0.02).clamp(0.0, 1.0))
    return albedo * stone[:, None], torch.zeros_like(albedo)


def _planks(local: Tensor, normal: Tensor, albedo: Tensor, lattice: Tensor) -> tuple[Tensor, Tensor]:
    along, across = torch.where(normal[:, 1].abs() > 0.5, local[:, 2], local[:, 1]), local[:, 0] + local[:, 2]
    plank = along / 0.155
    grain = fbm(lattice, across * 4 + 31 * plank.floor(), along * 60, 3)
    shade = 0.55 + 0.5 * grain + 0.3 * _cell(lattice, plank, torch.full_like(plank, 3.0))
    shade = shade * torch.where(plank % 1.0 < 0.10, 0.25, 1.0)
    return albedo * shade[:, None], torch.zeros_like(albedo)


def _chequer(local: Tensor, normal: Tensor, albedo: Tensor, lattice: Tensor) -> tuple[Tensor, Tensor]:
    around = torch.atan2(normal[:, 0], normal[:, 2]) / math.pi * 8
    down = torch.asin(normal[:, 1].clamp(-1, 1)) / math.pi * 8
    odd = (around.floor() + down.floor()) % 2
    return mix(albedo, (0.82, 0.80, 0.76), odd), torch.zeros_like(albedo)


def _marble(local: Tensor, normal: Tensor, albedo: Tensor, lattice: Tensor) -> tuple[Tensor, Tensor]:
    veins = fbm(lattice, 5 * local[:, 0] + 3 * local[:, 1] + 40, 5 * local[:, 1] - 3 * local[:, 2] + 40, 5)
    return albedo * (0.35 + 1.1 * (3 * (veins - 0.5).abs()).clamp_max(1.0))[:, None], torch.zeros_like(albedo)


def _hoops(local: Tensor, normal: Tensor, albedo: Tensor, lattice: Tensor) -> tuple[Tensor, Tensor]:
    hoop = ((local[:, 1] - 0.12) % 0.36 < 0.07) & (normal[:, 1] < 0.5)
    worn = 0.6 + 0.8 * fbm(lattice, torch.atan2(normal[:, 0], normal[:, 2]) * 3, local[:, 1] * 6, 4)
    return mix(albedo * worn[:, None], (0.30, 0.29, 0.28), hoop.float()), torch.zeros_like(albedo)


def _poster(local: Tensor, normal: Tensor, albedo: Tensor, lattice: Tensor) -> tuple[Tensor, Tensor]:
    """Return a headline, a picture of sea and sun, and lines of small print made of random letters."""
    x, y = local[:, 0] + 0.66, 0.52 - local[:, 1]

    def letters(size: float, top: float, lines: int, right: float, salt: float) -> Tensor:
        column, line = x / size, (y - top) / (1.7 * size)
        stroke = _cell(lattice, column * 4 + 4 * salt, (line % 1.0) * 8 + 8 * line.floor() + salt) > 0.42
        word = _cell(lattice, column + salt, line + 99 + salt) > 0.16
        block = (x > 0) & (x < right) & (line >= 0) & (line < lines)
        return block & (line % 1.0 < 0.63) & (column % 1.0 < 0.78) & stroke & word

    headline, subtitle = letters(0.105, 0.0, 1, 1.32, 7.0), letters(0.05, 0.215, 1, 0.8, 23.0)
    ink = headline | subtitle | letters(0.034, 0.66, 7, 1.32, 50.0)
    picture = (x > 0) & (x < 1.32) & (y > 0.33) & (y < 0.60)
    disc = ((x - 0.9).square() + (y - 0.45).square() < 0.008) & picture
    sea = picture & (y > 0.50 + 0.012 * torch.sin(14 * x))
    paint = mix(albedo, (0.62, 0.70, 0.72), picture.float())
    paint = mix(mix(paint, (0.80, 0.42, 0.12), disc.float()), (0.08, 0.20, 0.30), sea.float())
    front = normal[:, 2] < -0.5
    return mix(paint, (0.03, 0.03, 0.04), (ink & front).float()), torch.zeros_like(albedo)


def _windows(local: Tensor, normal: Tensor, albedo: Tensor, lattice: Tensor) -> tuple[Tensor, Tensor]:
    across, up = (local[:, 0] + local[:, 2]) / 1.5, local[:, 1] / 1.9
    # Houses differ in albedo, so albedo seeds which of their windows are lit.
    salt = (albedo[:, 0] * 4096).floor()
    pane = ((across % 1.0 - 0.5).abs() < 0.20) & ((up % 1.0 - 0.5).abs() < 0.26) & (normal[:, 1].abs() < 0.5)
    dice = _cell(lattice, across + salt, up + 40)
    lit = torch.where(pane & (dice > 0.70), dice.pow(4), 0.0)
    glow = lit[:, None] * local.new_tensor([7.0, 3.9, 1.5])
    return mix(albedo, (0.05, 0.06, 0.08), pane.float()), glow


PATTERNS: dict[str, Pattern] = {
    "plain": _plain,
    "tiles": _tiles,
    "planks": _planks,
    "chequer": _chequer,
    "marble": _marble,
    "hoops": _hoops,
    "poster": _poster,
    "windows": _windows,
}
