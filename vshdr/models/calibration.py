"""SDR pictures made by code, by which a network whose output is relative is related to SDR white.

Each is a scene in linear light, exposed and developed as a camera would. It consists of overlapping discs (the "dead
leaves" model, which has sharp edges at all scales like photographs) with 1/f texture, under uneven illumination.

What such a network makes of a picture varies with the content by a factor of two and more. Of the scenes that were
tried, these give the published ExpandNet files about the constants that they have in the median of real clips.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

HEIGHT, WIDTH = 144, 256
MIDDLE_GREY = 0.18
LEAVES = 120
SMALLEST_RADIUS = 0.06  # of a disc, in frame heights
LEAF_CONTRAST, TEXTURE_CONTRAST = 1.2, 0.5  # standard deviations, in stops
# Seed, exposure in stops, and change of the illumination over the frame's height in stops. Between 0.1 % (second) and
# 43 % (third) of their pixels are clipped.
SCENES = (
    (1, -0.5, 0.5),
    (2, -0.5, 1.0),
    (4, -0.3, 1.0),
    (5, 0.0, 0.5),
    (6, 0.0, 1.0),
    (13, -0.5, 1.0),
    (14, -0.25, 1.0),
)


def pictures() -> Iterator[Tensor]:
    """Yield the pictures, 1 x 3 x 144 x 256 each, code values in [0, 1] of 8 bits. They are always the same."""
    for seed, exposure, lighting in SCENES:
        random = torch.Generator().manual_seed(seed)
        stops = LEAF_CONTRAST * _leaves(random) + TEXTURE_CONTRAST * _texture(random)
        # Light that changes slowly over the frame, like a sky above a ground, or a window to one side.
        sideways = 2.0 * float(torch.rand(2, generator=random)[0]) - 1.0
        y, x = torch.arange(HEIGHT).unsqueeze(1) / HEIGHT - 0.5, (torch.arange(WIDTH) - WIDTH / 2) / HEIGHT
        stops = stops + exposure + lighting * (sideways * x - y)
        light = (MIDDLE_GREY * torch.exp2(stops)).clamp(0.0, 1.0)
        yield (light.pow(1 / 2.2) * 255.0).round().unsqueeze(0) / 255.0


def _leaves(random: torch.Generator) -> Tensor:
    """Return reflectances in stops about their mean, 3 x H x W: overlapping discs with radii of density 1 / r^3."""
    stops = torch.zeros(3, HEIGHT, WIDTH)
    for _ in range(LEAVES):
        u, v, rank = torch.rand(3, generator=random).tolist()
        radius = HEIGHT * SMALLEST_RADIUS / (1.0 - 0.998 * rank) ** 0.5
        grey, *tints = torch.randn(4, generator=random).tolist()
        x, y = u * WIDTH, v * HEIGHT
        left, top = max(0, int(x - radius)), max(0, int(y - radius))
        part = stops[:, top : int(y + radius) + 1, left : int(x + radius) + 1]
        down, across = torch.arange(part.shape[1]) + (top - y), torch.arange(part.shape[2]) + (left - x)
        disc = down.square().unsqueeze(1) + across.square() < radius * radius
        part[:, disc] = grey + 0.35 * torch.tensor(tints).unsqueeze(1)
    return stops


def _texture(random: torch.Generator) -> Tensor:
    """Return noise with an amplitude spectrum of 1 / f and a standard deviation of 1, 1 x H x W."""
    spectrum = torch.fft.rfft2(torch.randn(HEIGHT, WIDTH, generator=random))
    vertical, horizontal = torch.fft.fftfreq(HEIGHT, 1 / HEIGHT), torch.fft.rfftfreq(WIDTH, 1 / WIDTH)
    frequency = torch.hypot(vertical.unsqueeze(1), horizontal)
    noise = torch.fft.irfft2(spectrum / frequency.clamp_min(1.0), s=(HEIGHT, WIDTH))
    return ((noise - noise.mean()) / noise.std()).unsqueeze(0)
