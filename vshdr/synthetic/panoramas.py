"""Synthetic panoramas, for the virtual camera when there are no HDR pictures."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

from vshdr.runtime.dice import Dice
from vshdr.synthetic.harbour.patterns import fbm, mix


def procedural_panorama(seed: int, width: int = 1024) -> Tensor:
    """Return the linear light of an equirectangular panorama, 3 x `width`/2 x `width`.

    `seed` decides whether it is an open sky with a sun or a room with windows and lamps, and what it looks like.
    """
    dice = Dice(seed)
    lattice = torch.rand(256, 256, generator=dice.generator)
    longitude = ((torch.arange(width) + 0.5) / width - 0.5) * 2 * math.pi
    latitude = (0.5 - (torch.arange(width // 2) + 0.5) / (width // 2)) * math.pi
    latitude, longitude = torch.meshgrid(latitude, longitude, indexing="ij")
    direction = torch.stack(
        (longitude.sin() * latitude.cos(), latitude.sin(), longitude.cos() * latitude.cos()), dim=-1
    )
    scene = _room if dice.chance(0.5) else _outdoors
    return scene(direction.reshape(-1, 3), lattice, dice).T.reshape(3, width // 2, width).contiguous()


def _ground(direction: Tensor, depth: float) -> tuple[Tensor, Tensor]:
    """Return x and z, N each, where directions, N x 3, hit a plane `depth` below the camera. The distance is limited to
    50 times the depth.
    """
    drop = (-direction[:, 1]).clamp_min(0.02)
    return direction[:, 0] / drop * depth, direction[:, 2] / drop * depth


def _outdoors(direction: Tensor, lattice: Tensor, dice: Dice) -> Tensor:
    """Return the light, N x 3, in directions, N x 3, of a landscape under a sky with clouds and a sun."""
    height, azimuth = dice.uniform(0.1, 0.9), dice.uniform(-math.pi, math.pi)
    sun = normalize(torch.tensor([math.sin(azimuth), height, math.cos(azimuth)]), dim=0)
    warm = min(1.0, 0.15 / height)
    up = direction[:, 1].clamp(0.0, 1.0)
    horizon = (0.55 + 0.25 * warm, 0.62 - 0.17 * warm, 0.75 - 0.53 * warm)
    sky = mix(horizon, (0.08, 0.17, 0.42), up.sqrt())
    x, z = direction[:, 0] / (up + 0.15), direction[:, 2] / (up + 0.15)
    cloud = ((fbm(lattice, x * 1.3, z * 1.3, 7) - dice.uniform(0.42, 0.55)) * 5).clamp(0.0, 1.0)
    towards = (direction @ sun).clamp(-1.0, 1.0)
    lit = 1.0 + 3.0 * torch.exp((towards - 1) * 12)
    sky = mix(
        sky,
        lit[:, None] * torch.tensor([1.0, 0.95, 0.90 - 0.2 * warm]),
        0.85 * cloud * (up * 6).clamp_max(1.0),
    )
    tint = torch.tensor([1.0, 0.9 - 0.3 * warm, 0.75 - 0.5 * warm])
    disc = (
        2.0e4 * dice.log_uniform(0.3, 2.0) * ((towards - math.cos(0.012)) / 3e-5).clamp(0.0, 1.0) * (1 - 0.98 * cloud)
    )
    glow = 6.0 * torch.exp((towards - 1) * 900) + 0.8 * torch.exp((towards - 1) * 60)
    sky = sky + (disc + glow)[:, None] * tint

    x, z = _ground(direction, 1.6)
    paint = fbm(lattice, x * 3, z * 3, 7)
    earth = mix((0.05, 0.07, 0.02), (0.30, 0.24, 0.16), ((paint - 0.3) * 2.5).clamp(0.0, 1.0)) * (0.3 + 1.2 * height)
    ridge = 0.12 * fbm(lattice, torch.atan2(direction[:, 0], direction[:, 2]) * 6 + 40, torch.full_like(up, 7.5), 6)
    hills = (
        torch.tensor([0.05, 0.07, 0.08]) * (0.5 + fbm(lattice, direction[:, 0] * 40, direction[:, 1] * 40, 4))[:, None]
    )
    below = mix(hills, earth, (direction[:, 1] < -0.02).float())
    return mix(below, sky, ((direction[:, 1] - ridge) * 400 + 0.5).clamp(0.0, 1.0))


def _room(direction: Tensor, lattice: Tensor, dice: Dice) -> Tensor:
    """Return the light, N x 3, in directions, N x 3, of a room of 8 x 3 x 8 units around the camera.

    It has bright windows and pictures in its walls and lamps on its ceiling.
    """
    half = torch.tensor([4.0, 1.5, 4.0])
    reach = half / direction.abs().clamp_min(1e-6)
    side = reach.argmin(dim=1)
    point = direction * reach.amin(dim=1, keepdim=True)
    wall = side != 1
    along = torch.where(side == 0, point[:, 2], point[:, 0])
    across = torch.where(wall, point[:, 1], point[:, 2])
    number = side * 2 + (direction.gather(1, side[:, None])[:, 0] > 0)
    dim = dice.log_uniform(0.05, 0.4)
    paint = torch.tensor([[dice.uniform(0.3, 0.8) for _ in range(3)] for _ in range(6)])
    light = paint[number] * dim * (0.6 + 0.8 * fbm(lattice, along * 2 + 9 * number, across * 2 + 5, 7))[:, None]
    light = light * (1.0 - 0.5 * (point[:, 1].abs() / 1.5).pow(8))[:, None]  # corners are darker

    panel = (along / 1.6).floor()
    inner = ((along / 1.6 - panel - 0.5).abs() < 0.33) & (point[:, 1] > -0.35) & (point[:, 1] < 0.95) & wall
    kind = lattice[(number * 17 + 3) % 256, panel.long() % 256]
    outside = mix((6.0, 6.5, 7.5), (2.0, 2.6, 1.4), (0.6 - point[:, 1]).clamp(0.0, 1.0)) * dice.log_uniform(0.5, 6.0)
    outside = outside * (0.4 + 1.2 * fbm(lattice, along * 5, point[:, 1] * 5, 5))[:, None]
    bars = ((along / 1.6 - panel - 0.5).abs() < 0.015) | ((point[:, 1] - 0.3).abs() < 0.025)
    hung = (
        mix(
            (0.05, 0.10, 0.20),
            (0.85, 0.75, 0.35),
            ((fbm(lattice, along * 9, point[:, 1] * 9 + 60, 4) - 0.4) * 6).clamp(0.0, 1.0),
        )
        * 1.5
        * dim
    )
    light = torch.where((inner & (kind < 0.35) & ~bars)[:, None], outside, light)
    light = torch.where((inner & (kind > 0.65))[:, None], hung, light)

    for _ in range(2 + dice.below(4)):
        lamp = normalize(torch.tensor([dice.uniform(-2, 2), dice.uniform(0.2, 1.3), dice.uniform(-2, 2)]), dim=0)
        angle, tint = (
            dice.log_uniform(0.02, 0.10),
            torch.tensor([1.0, dice.uniform(0.6, 1.0), dice.uniform(0.25, 0.9)]),
        )
        towards = direction @ lamp
        bulb = dice.log_uniform(8.0, 400.0) * ((towards - math.cos(angle)) / (1 - math.cos(angle)) * 4).clamp(0.0, 1.0)
        halo = 0.6 * dim * torch.exp((towards - 1) * 20)
        light = light + (bulb + halo)[:, None] * tint
    return light
