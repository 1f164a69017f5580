"""The sky over the harbour, with clouds and the hills on the horizon."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from vshdr.synthetic.harbour.patterns import fbm, mix
from vshdr.synthetic.harbour.world import World


def sky(world: World, direction: Tensor) -> Tensor:
    """Return the radiance, N x 3, of sky, clouds and hills in unit directions, N x 3. All are at infinity.

    The sun itself is not included, only the glow around it.
    """
    up = direction[:, 1].clamp_min(0.0)
    towards = (direction @ world.sun).clamp(-1.0, 1.0)
    flat = normalize(direction[:, ::2], dim=1) @ normalize(world.sun[::2], dim=0)
    side = (0.5 + 0.5 * flat).square()
    low = mix((0.13, 0.085, 0.14), (0.74, 0.28, 0.085), side)
    middle = mix((0.05, 0.06, 0.15), (0.27, 0.145, 0.15), side)
    colour = mix(low, middle, (up / 0.22).clamp_max(1.0))
    colour = mix(colour, (0.012, 0.032, 0.105), ((up - 0.12) / 0.55).clamp(0.0, 1.0))
    aureole = 3.2 * torch.exp((towards - 1) * 420) + 0.55 * torch.exp((towards - 1) * 45)
    colour = colour + aureole[:, None] * torch.tensor([1.0, 0.62, 0.26], device=direction.device)

    # Clouds lie on a plane overhead. The noise one step closer to the sun says how much cloud the light has passed.
    x, z = direction[:, 0] / (up + 0.12), direction[:, 2] / (up + 0.12)

    def density(dx: float, dz: float) -> Tensor:
        return ((fbm(world.lattice, 0.75 * (x + dx) + 5, 1.25 * (z + dz), 6) - 0.47) * 4.2).clamp(0.0, 1.0)

    cloud = density(0.0, 0.0)
    thick = density(0.16 * float(world.sun[0]), 0.16)
    lit = (1 - 0.85 * thick) * (0.03 + 0.42 * side + 1.8 * torch.exp((towards - 1) * 30))
    cloud_colour = mix((0.035, 0.035, 0.085), (0.27, 0.10, 0.085), (0.15 + 0.85 * side) * (1 - thick)) + lit[
        :, None
    ] * torch.tensor([0.62, 0.30, 0.15], device=direction.device)
    colour = mix(colour, cloud_colour, cloud * (up / 0.09).clamp_max(1.0) * 0.9)

    azimuth = torch.atan2(direction[:, 0], direction[:, 2])
    for height, scale, salt, haze in ((0.080, 5.0, 11.0, 0.75), (0.046, 8.0, 60.0, 0.45)):
        ridge = height * fbm(world.lattice, azimuth * scale + salt, torch.full_like(azimuth, salt), 5)
        hill = mix((0.06, 0.06, 0.10), low * 0.8, torch.full_like(up, haze))
        colour = torch.where((direction[:, 1] < ridge)[:, None], hill, colour)
    return colour
