"""Pictures whose truth is known: a harbour at sunset in linear light, a moving camera and exact optical flow.

The sun is thousands of times as bright as SDR white, lamps are tens to hundreds of times as bright, and there is white
paper, which a network must not take for a lamp. Only the waves move, so the flow between any two times is exact. What
stands there is in `world`, its textures in `patterns`, the sky in `sky`. `raycast` finds where rays hit objects,
`shading` the light that they carry. This module turns it into pictures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from vshdr.synthetic.harbour.raycast import trace
from vshdr.synthetic.harbour.shading import radiance
from vshdr.synthetic.harbour.world import World, build

TILE = 64
"""Side in pixels of the tiles that are traced at a time: a narrow bundle of rays can hit only a few objects."""


@dataclass(frozen=True, kw_only=True)
class CameraPose:
    """Position and direction of the camera, and the time of the picture."""

    position: tuple[float, float, float]
    """Metres: x to the right, y up, z along the view."""
    target: tuple[float, float, float]
    """The point in the middle of the picture."""
    view: float = 56.0
    """Horizontal angle of view in degrees."""
    time: float = 0.0
    """Seconds; only the waves depend on it."""


class ExactFlow(NamedTuple):
    """Where the pixel centres of one picture lie in another, without error."""

    motion: Tensor
    """2 x H x W, pixels to the right and down."""
    visible: Tensor
    """H x W bool: the point lies inside the other picture and is not occluded there."""
    matt: Tensor
    """H x W bool: the surface has no reflections, which would move differently from the surface itself."""


def pose_at(time: float) -> CameraPose:
    """Return the camera on its path at a time in seconds: it swings from side to side and turns the other way."""
    walk = math.sin(0.45 * (time - 1.5))
    return CameraPose(
        position=(1.5 * walk, 1.72 + 0.04 * math.sin(1.3 * time), 0.10 * time - 0.6),
        target=(0.35 - 0.25 * walk, 1.95, 12.0),
        time=time,
    )


def render(
    when: float | CameraPose,
    width: int,
    height: int,
    *,
    samples: int = 2,
    seed: int = 0,
    glare: float = 1.0,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Return the scene as linear light, 3 x H x W float32, BT.709 primaries, 1.0 = SDR white, unbounded above.

    `when` is a time in seconds on the path of `pose_at`, or a pose of one's own. A pixel is the mean of
    `samples` x `samples` rays. `glare` is the strength of the light that the lens scatters (0: none). The same
    arguments give the same picture on the same device.
    """
    camera = when if isinstance(when, CameraPose) else pose_at(when)
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


def exact_flow(
    a: float | CameraPose,
    b: float | CameraPose,
    width: int,
    height: int,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> ExactFlow:
    """Return where each pixel centre of the picture at `a` lies in the picture at `b`, both times or poses.

    The flow follows the point that the pixel's ray hits; sky, clouds, hills and sun are at infinity. It is that of
    surfaces, not of reflections in them (see `ExactFlow.matt`).
    """
    first, second = (at if isinstance(at, CameraPose) else pose_at(at) for at in (a, b))
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
    return ExactFlow(place - centres, visible.reshape(height, width), matt.reshape(height, width))


@lru_cache(maxsize=4)
def _world(seed: int, device: str) -> World:
    return build(seed).to(device)


def _axes(camera: CameraPose, like: Tensor) -> Tensor:
    """Return a 3 x 3 matrix whose rows are the camera's right, up and forward directions, as unit vectors."""
    forward = functional.normalize(like.new_tensor(camera.target) - like.new_tensor(camera.position), dim=0)
    right = functional.normalize(torch.linalg.cross(like.new_tensor([0.0, 1.0, 0.0]), forward), dim=0)
    return torch.stack((right, torch.linalg.cross(forward, right), forward))


def _pixels(width: int, height: int, place: tuple[float, float], device: torch.device | str) -> tuple[Tensor, Tensor]:
    """Return x and y, H x W each, of one point of each pixel; `place` is (0.5, 0.5) for the centre."""
    column, row = (torch.arange(size, device=device) for size in (width, height))
    y, x = torch.meshgrid(row + place[1], column + place[0], indexing="ij")
    return x, y


def _rays(
    camera: CameraPose, width: int, height: int, place: tuple[float, float], device: torch.device | str
) -> Tensor:
    """Return unit directions, H*W x 3, through one point of each pixel; `place` is (0.5, 0.5) for the centre."""
    half = math.tan(math.radians(camera.view) / 2)
    x, y = _pixels(width, height, place, device)
    right = (2 * x / width - 1) * half
    up = (1 - 2 * y / height) * half * height / width
    local = torch.stack((right, up, torch.ones_like(up)), dim=-1).reshape(-1, 3)
    return functional.normalize(local @ _axes(camera, local), dim=1)


def _tiles(width: int, height: int, device: torch.device | str) -> list[Tensor]:
    """Return the numbers of all pixels, tile by tile."""
    numbers = torch.arange(height * width, device=device).reshape(height, width)
    return [tile.flatten() for rows in numbers.split(TILE) for tile in rows.split(TILE, dim=1)]


def _project(camera: CameraPose, direction: Tensor, width: int, height: int) -> tuple[Tensor, Tensor]:
    """Return the pixel coordinates of directions, N x 2, and whether they are in the picture; undoes `_rays`."""
    half = math.tan(math.radians(camera.view) / 2)
    right, up, forward = (direction @ _axes(camera, direction).T).unbind(1)
    x = (right / forward / half + 1) * width / 2
    y = (1 - up / forward / half * width / height) * height / 2
    return torch.stack((x, y), dim=1), (forward > 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)


def _scatter(picture: Tensor, strength: float) -> Tensor:
    """Return `picture` with glare: small shares of its light are spread over three wider and wider Gaussians."""
    width = picture.shape[2]
    total, kept = torch.zeros_like(picture), 1.0
    for share, sigma in ((0.05, 0.0009), (0.003, 0.005), (0.0006, 0.025)):
        total += share * strength * _blur(picture, sigma * width)
        kept -= share * strength
    return kept * picture + total


def _blur(picture: Tensor, sigma: float) -> Tensor:
    """Return 3 x H x W after a Gaussian blur; wide ones are made on a smaller picture, which looks the same."""
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
