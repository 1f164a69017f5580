"""Where the virtual camera looks.

A view is a 3 x 3 matrix for homogeneous coordinates. It takes a point (u, v, 1) of the view, with u from -1 to 1 across
and v from -1 to 1 down, to what is seen there: in a panorama a direction (x right, y up, z towards the picture's middle
column), in a photo the position (x, y, 1) with x and y in [0, 1]. Two views of one picture are therefore related by
another 3 x 3 matrix, a homography, which gives the exact optical flow between them (see `motion`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vshdr.camera.panoramas import LEVELS, LIGHTS, Panoramas
from vshdr.runtime.dice import Dice
from vshdr.temporal.warp import pixel_centres


@dataclass(frozen=True, kw_only=True)
class ViewOptions:
    """What views are drawn. Ranges are (from, to)."""

    angle: tuple[float, float] = (40.0, 100.0)
    """Horizontal angle of view in degrees; panoramas only."""
    tilt: float = 15.0
    """Standard deviation of the camera's tilt up or down in degrees; the tilt is at most 60."""
    roll: float = 3.0
    """Standard deviation of the camera's roll in degrees."""
    crop: tuple[float, float] = (0.2, 0.6)
    """Width of a crop as a share of a photo's width, as HDRCNN draws it."""
    magnification: float = 1.5
    """Views are widened so that a pixel of the picture covers at most this many pixels of the view."""
    lights: float = 0.4
    """Share of views that are aimed at one of the picture's brightest places."""
    flip: float = 0.5
    """Share of views that are mirrored."""
    turned: float = 0.0
    """Share of views that are rotated by 90, 180 or 270 degrees."""


@dataclass(frozen=True, kw_only=True)
class Views:
    """N views, on the CPU."""

    picture: Tensor
    """N numbers of pictures in `Panoramas`."""
    level: Tensor
    """N levels of their mip pyramids, chosen so that a texel is about a pixel."""
    matrix: Tensor
    """N x 3 x 3 float64, as described above."""


def draw_views(panoramas: Panoramas, count: int, size: tuple[int, int], options: ViewOptions, dice: Dice) -> Views:
    """Return `count` views of (height, width) `size`, each of a picture drawn by its weight."""
    pictures = [dice.pick(panoramas.weights) for _ in range(count)]
    matrices, levels = [], []
    for picture in pictures:
        full = panoramas.levels[picture][0]
        draw = _panorama_view if panoramas.spherical[picture] else _photo_view
        matrix = draw(panoramas.lights[picture], (full.height, full.width), size, options, dice)
        if dice.chance(options.flip):
            matrix = matrix @ torch.diag(torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64))
        if options.turned and dice.chance(options.turned):
            matrix = matrix @ _quarters(1 + dice.below(3), size)
        # How many texels lie between neighbouring pixels in the middle of the view.
        step = float(matrix[:, 0].norm() / (size[1] / 2)) * full.width
        if panoramas.spherical[picture]:
            step /= 2 * math.pi
        levels.append(min(max(round(math.log2(step)), 0), LEVELS - 1))
        matrices.append(matrix)
    return Views(picture=torch.tensor(pictures), level=torch.tensor(levels), matrix=torch.stack(matrices))


def _quarters(count: int, size: tuple[int, int]) -> Tensor:
    """Return the matrix that turns a view of (height, width) `size` by `count` right angles and keeps its scale."""
    pixels = torch.diag(torch.tensor([size[1], size[0], 1.0], dtype=torch.float64))
    turn = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    return pixels.inverse() @ torch.linalg.matrix_power(turn, count) @ pixels


def project_pixels(matrix: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the pixel centres of a picture of (height, width) `size` in homogeneous coordinates (u, v, 1), multiplied
    by each of N 3 x 3 matrices: N x 3 x H x W float64.
    """
    height, width = size
    centres = pixel_centres(height, width, matrix.new_empty(0, dtype=torch.float64))[0].flatten(1)
    centres = torch.cat((centres, torch.ones_like(centres[:1])))
    return (matrix @ centres).unflatten(2, (height, width))


def render(panoramas: Panoramas, views: Views, size: tuple[int, int]) -> Tensor:
    """Return the light of `views` at (height, width) `size`, N x 3 x H x W float32 on the panoramas' device, in the
    scale of the stored pictures."""
    x, y, z = project_pixels(views.matrix.to(panoramas.device), size).float().unbind(1)
    sphere = torch.tensor([panoramas.spherical[index] for index in views.picture.tolist()])
    sphere = sphere[:, None, None].to(x.device)
    longitude = torch.atan2(x, z) / (2 * math.pi) + 0.5
    latitude = 0.5 - torch.atan2(y, torch.hypot(x, z)) / math.pi
    return panoramas.sample(
        views.picture,
        views.level,
        torch.where(sphere, longitude, x / z),
        torch.where(sphere, latitude, y / z),
    )


def _panorama_view(
    lights: Tensor, stored: tuple[int, int], size: tuple[int, int], options: ViewOptions, dice: Dice
) -> Tensor:
    """Return a view of a panorama that is `stored` at (height, width) and has bright places `lights`."""
    angle = dice.uniform(*options.angle)
    # Tangents of half the angle of view: the least that `magnification` allows, and what is drawn.
    finest = size[1] / 2 * 2 * math.pi / stored[1] / options.magnification
    half = max(math.tan(math.radians(angle / 2)), min(finest, math.tan(math.radians(options.angle[1] / 2))))
    half_down = half * size[0] / size[1]
    pan, tilt = dice.uniform(-math.pi, math.pi), math.radians(dice.normal(0.0, options.tilt))
    if dice.chance(options.lights):
        x, y = lights[dice.below(LIGHTS)].tolist()
        pan = (x - 0.5) * 2 * math.pi + math.atan(half * dice.uniform(-0.9, 0.9))
        tilt = (0.5 - y) * math.pi + math.atan(half_down * dice.uniform(-0.9, 0.9))
    tilt = min(max(tilt, -math.pi / 3), math.pi / 3)
    spin = rotation(
        torch.tensor([0.0, 0.0, math.sin(math.radians(dice.normal(0.0, options.roll)))], dtype=torch.float64)
    )
    up = rotation(torch.tensor([-math.sin(tilt), 0.0, 0.0], dtype=torch.float64))
    sin, cos = math.sin(pan), math.cos(pan)
    around = torch.tensor([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]], dtype=torch.float64)
    return around @ up @ spin @ torch.diag(torch.tensor([half, -half_down, 1.0], dtype=torch.float64))


def _photo_view(
    lights: Tensor, stored: tuple[int, int], size: tuple[int, int], options: ViewOptions, dice: Dice
) -> Tensor:
    """Return a crop of a photo that is `stored` at (height, width) and has bright places `lights`."""
    height, width = stored
    # A margin of a pixel and a half is kept, because at a photo's very edge there is nothing to interpolate with.
    free_x, free_y = 1 + 3 / size[1], 1 + 3 / size[0]
    widest = min(1 / free_x, height * size[1] / size[0] / width / free_y)
    share = min(max(dice.uniform(*options.crop), size[1] / width / options.magnification), widest)
    down = share * width * size[0] / size[1] / height
    reach_x, reach_y = share / 2 * free_x, down / 2 * free_y
    x, y = dice.uniform(reach_x, 1 - reach_x), dice.uniform(reach_y, 1 - reach_y)
    if dice.chance(options.lights):
        light_x, light_y = lights[dice.below(LIGHTS)].tolist()
        x = min(max(light_x + share * dice.uniform(-0.45, 0.45), reach_x), 1 - reach_x)
        y = min(max(light_y + down * dice.uniform(-0.45, 0.45), reach_y), 1 - reach_y)
    return torch.tensor([[share / 2, 0.0, x], [0.0, down / 2, y], [0.0, 0.0, 1.0]], dtype=torch.float64)


def rotation(axis: Tensor) -> Tensor:
    """Return the 3 x 3 rotation about `axis`, whose length is the sine of the angle, up to 90 degrees (Rodrigues)."""
    sine = float(axis.norm())
    if sine == 0.0:
        return torch.eye(3, dtype=torch.float64)
    x, y, z = (axis / sine).tolist()
    cross = torch.tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]], dtype=torch.float64)
    return torch.eye(3, dtype=torch.float64) + sine * cross + (1 - math.sqrt(max(0.0, 1 - sine * sine))) * cross @ cross
