"""A picture whose truth is known: a harbour at sunset in linear light, a moving camera and exact flow.

The sun is thousands of times as bright as SDR white, lamps are tens to hundreds of times, and there is white
paper that is no lamp. The world stands still but for the waves, so where each point goes from one moment to
the next is known exactly. What stands there is in `harbour`, how it is painted in `patterns`, where rays meet
it in `raycast`, what light they bring in `shading`; here they become pictures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from vshdr.colour.transfer import INVERSE_EOTF
from vshdr.errors import InputError
from vshdr.synthetic.harbour import world as harbour
from vshdr.synthetic.harbour.raycast import trace
from vshdr.synthetic.harbour.shading import radiance
from vshdr.synthetic.harbour.world import World

TILE = 64
"""Pixels: rays are traced in square tiles, because a narrow bundle of rays can meet only a few objects."""


@dataclass(frozen=True, kw_only=True)
class Camera:
    """Where the picture is taken from, and when."""

    position: tuple[float, float, float]
    """Metres: x to the right, y up, z along the view."""
    target: tuple[float, float, float]
    """The point in the middle of the picture."""
    view: float = 56.0
    """Horizontal angle of view in degrees."""
    time: float = 0.0
    """Seconds: only the waves depend on it."""


class Flow(NamedTuple):
    """Where the pixel centres of one picture lie in another."""

    motion: Tensor
    """2 x H x W, pixels to the right and down."""
    visible: Tensor
    """H x W bool: the point lies inside the other picture and nothing stands before it."""
    matt: Tensor
    """H x W bool: the surface shows no reflections. These move otherwise than the surface that shows them."""


def camera_at(time: float) -> Camera:
    """Return the camera's smooth path at any time in seconds: it walks to the right and turns against its walk."""
    walk = math.sin(0.45 * (time - 1.5))
    return Camera(
        position=(1.5 * walk, 1.72 + 0.04 * math.sin(1.3 * time), 0.10 * time - 0.6),
        target=(0.35 - 0.25 * walk, 1.95, 12.0),
        time=time,
    )


def render(
    when: float | Camera,
    width: int,
    height: int,
    *,
    samples: int = 2,
    seed: int = 0,
    glare: float = 1.0,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Return the scene as linear light, 3 x H x W float32, BT.709 primaries, 1.0 = SDR white, unbounded above.

    `when` is a time on `camera_at`'s path in seconds or a camera of one's own. A pixel is the mean of
    `samples` x `samples` rays. `glare` is the strength of the light that the lens scatters (0: none). The
    same arguments give the same picture on the same device.
    """
    camera = when if isinstance(when, Camera) else camera_at(when)
    world = _world(seed, str(device))
    pixel = 2.0 * math.tan(math.radians(camera.view) / 2) / width
    order = _tiles(width, height, device)
    picture = torch.zeros(height * width, 3, device=device)
    for row in range(samples):
        for column in range(samples):
            place = (column + 0.5) / samples, (row + 0.5) / samples
            direction = _rays(camera, width, height, place, device)
            origin = direction.new_tensor(camera.position)
            for tile in order:
                step = direction[tile]
                picture[tile] += radiance(world, origin.expand_as(step), step, camera.time, pixel)
    picture = (picture / samples**2).T.reshape(3, height, width)
    return _scatter(picture, glare) if glare else picture


def flow(
    a: float | Camera, b: float | Camera, width: int, height: int, *, seed: int = 0, device: torch.device | str = "cpu"
) -> Flow:
    """Where each pixel centre of the picture at `a` lies in the picture at `b`.

    Exact, by the point that the pixel's ray meets; sky, clouds, hills and sun are at infinity. Reflections
    have no part in it: a mirrored lamp moves otherwise than the wet stone that mirrors it (see `Flow.matt`).
    """
    first, second = (at if isinstance(at, Camera) else camera_at(at) for at in (a, b))
    world = _world(seed, str(device))
    direction = _rays(first, width, height, (0.5, 0.5), device)
    here, there = direction.new_tensor(first.position), direction.new_tensor(second.position)
    place = torch.empty_like(direction[:, :2])
    visible = torch.empty_like(direction[:, 0], dtype=torch.bool)
    matt = torch.empty_like(visible)
    for tile in _tiles(width, height, device):
        step = direction[tile]
        hit = trace(world.shapes, here.expand_as(step), step)
        point = here + torch.where(hit.sky, 0.0, hit.distance)[:, None] * step
        beam = torch.where(hit.sky[:, None], step, point - there)
        length = torch.where(hit.sky, torch.inf, beam.norm(dim=1))
        beam = functional.normalize(beam, dim=1)
        again = trace(world.shapes, there.expand_as(beam), beam).distance
        place[tile], inside = _project(second, beam, width, height)
        visible[tile] = inside & ((again > length * 0.999) | (again == length))
        matt[tile] = hit.sky | (world.mirror[hit.number] == 0.0)
    place = place.T.reshape(2, height, width)
    centres = torch.stack(_pixels(width, height, (0.5, 0.5), device))
    return Flow(place - centres, visible.reshape(height, width), matt.reshape(height, width))


def camera_curve(light: Tensor, n: float = 0.9, sigma: float = 0.6) -> Tensor:
    """Return the sigmoid camera curve (1 + sigma) h^n / (h^n + sigma) of Eilertsen et al. 2017: 0 to 0, 1 to 1."""
    power = light.clamp_min(0.0).pow(n)
    return (1.0 + sigma) * power / (power + sigma)


def camera_sdr(
    linear: Tensor,
    *,
    exposure: float = 1.0,
    curve: str = "sigmoid",
    noise: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return what an SDR camera makes of linear light: code values in [0, 1] of the same shape, not quantised.

    Light times `exposure` plus Gaussian noise of standard deviation `noise` (in linear light, drawn from
    `generator`) is clipped at 1 and goes through `curve`: "sigmoid" (`camera_curve`) or a key of
    `colour.INVERSE_EOTF`, of which "bt1886" makes what a display shows equal the light below clipping. Raise
    ValueError for another name.
    """
    if curve != "sigmoid" and curve not in INVERSE_EOTF:
        raise InputError(f"unknown camera curve {curve!r}: choose from sigmoid, {', '.join(INVERSE_EOTF)}")
    light = linear * exposure
    if noise:
        grain = torch.randn(light.shape, generator=generator, device=light.device, dtype=light.dtype)
        light = light + noise * grain
    light = light.clamp(0.0, 1.0)
    return camera_curve(light) if curve == "sigmoid" else INVERSE_EOTF[curve](light)


@lru_cache(maxsize=4)
def _world(seed: int, device: str) -> World:
    return harbour.build(seed).to(device)


def _axes(camera: Camera, like: Tensor) -> Tensor:
    """Return the rows are the picture's right, up and forward as unit vectors of the world."""
    forward = functional.normalize(like.new_tensor(camera.target) - like.new_tensor(camera.position), dim=0)
    right = functional.normalize(torch.linalg.cross(like.new_tensor([0.0, 1.0, 0.0]), forward), dim=0)
    return torch.stack((right, torch.linalg.cross(forward, right), forward))


def _pixels(width: int, height: int, place: tuple[float, float], device: torch.device | str) -> tuple[Tensor, Tensor]:
    """x and y, H x W each, of this place of each pixel."""
    column, row = (torch.arange(size, device=device) for size in (width, height))
    y, x = torch.meshgrid(row + place[1], column + place[0], indexing="ij")
    return x, y


def _rays(camera: Camera, width: int, height: int, place: tuple[float, float], device: torch.device | str) -> Tensor:
    """Return unit directions H*W x 3 through this place of each pixel, (0.5, 0.5) being its centre."""
    half = math.tan(math.radians(camera.view) / 2)
    x, y = _pixels(width, height, place, device)
    right = (2 * x / width - 1) * half
    up = (1 - 2 * y / height) * half * height / width
    local = torch.stack((right, up, torch.ones_like(up)), dim=-1).reshape(-1, 3)
    return functional.normalize(local @ _axes(camera, local), dim=1)


def _tiles(width: int, height: int, device: torch.device | str) -> list[Tensor]:
    """Return the picture's pixel numbers, in tiles."""
    numbers = torch.arange(height * width, device=device).reshape(height, width)
    return [tile.flatten() for rows in numbers.split(TILE) for tile in rows.split(TILE, dim=1)]


def _project(camera: Camera, direction: Tensor, width: int, height: int) -> tuple[Tensor, Tensor]:
    """Return pixel coordinates N x 2 of directions, and whether they lie in the picture. The inverse of `_rays`."""
    half = math.tan(math.radians(camera.view) / 2)
    right, up, forward = (direction @ _axes(camera, direction).T).unbind(1)
    x = (right / forward / half + 1) * width / 2
    y = (1 - up / forward / half * width / height) * height / 2
    return torch.stack((x, y), dim=1), (forward > 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)


def _scatter(picture: Tensor, strength: float) -> Tensor:
    """Return glare of lens and sensor: small shares of the light spread over wider and wider Gaussians."""
    width = picture.shape[2]
    total, kept = torch.zeros_like(picture), 1.0
    for share, sigma in ((0.05, 0.0009), (0.003, 0.005), (0.0006, 0.025)):
        total += share * strength * _blur(picture, sigma * width)
        kept -= share * strength
    return kept * picture + total


def _blur(picture: Tensor, sigma: float) -> Tensor:
    """Return Gaussian blur of 3 x H x W; wide ones on a smaller picture, where they cost less and look the same."""
    factor = max(1, int(sigma / 3))
    height, width = picture.shape[1:]
    size = math.ceil(height / factor), math.ceil(width / factor)
    small = functional.interpolate(picture[None], size, mode="area")
    radius = max(1, math.ceil(3.5 * sigma / factor))
    offset = torch.arange(-radius, radius + 1, device=picture.device)
    kernel = torch.exp(-(offset * factor / sigma).square() / 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    for shape in (kernel, kernel.mT):
        pad = (radius, radius, 0, 0) if shape is kernel else (0, 0, radius, radius)
        small = functional.conv2d(functional.pad(small, pad, mode="replicate"), shape, groups=3)
    return functional.interpolate(small, (height, width), mode="bilinear")[0]
