"""Where the virtual camera looks, and how it moves.

A view is a 3 x 3 matrix that takes (u, v, 1), u from -1 to 1 across the picture and v from -1 to 1 down, to a
place: for a panorama a direction (x right, y up, z towards the picture's middle column), for a photo (x, y,
1) with x and y in [0, 1]. Two views of one picture are therefore related by one more 3 x 3 matrix, which is
the exact optical flow between them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from vshdr.camera.panoramas import LEVELS, LIGHTS, Panoramas
from vshdr.runtime.dice import Dice


@dataclass(frozen=True, kw_only=True)
class ViewOptions:
    """What views are drawn, and how far a second view moves. Ranges are (from, to)."""

    angle: tuple[float, float] = (40.0, 100.0)
    """Horizontal angle of view in degrees, of panoramas."""
    tilt: float = 15.0
    """Standard deviation of the camera's tilt up or down in degrees; never beyond 60."""
    roll: float = 3.0
    """Standard deviation of the camera's roll in degrees."""
    crop: tuple[float, float] = (0.2, 0.6)
    """Width of a crop as a share of a photo's width, as HDRCNN draws it."""
    magnification: float = 1.5
    """Views are widened where a pixel of the picture would cover more than this many pixels of the view."""
    lights: float = 0.4
    """Share of views that are aimed so that one of the picture's brightest places is seen."""
    flip: float = 0.5
    """Share of views that are mirrored."""
    turned: float = 0.0
    """Share of views that lie on a side or stand on their head."""


@dataclass(frozen=True, kw_only=True)
class MotionOptions:
    """How far the second view of a pair moves: the ranges of HDRCNN's regularisation (CVPR 2019). All zero
    for a still picture.

    Panoramas are looked at by a camera that really turns, rolls and zooms (no shear), photos are transformed
    affinely.
    """

    shift: float = 2.0
    """Pixels in the middle of the picture, at most, to either side."""
    roll: float = 1.0
    """Degrees, at most, either way."""
    zoom: float = 0.03
    """Change of scale, at most, either way."""
    shear: float = 1.0
    """Degrees, at most, either way along both axes; photos only."""


@dataclass(frozen=True, kw_only=True)
class Views:
    """N views. All on the CPU."""

    picture: Tensor
    """N numbers of pictures."""
    level: Tensor
    """N numbers of sizes of these pictures, chosen so that a texel is about a pixel."""
    matrix: Tensor
    """N x 3 x 3 float64."""


def draw_views(panoramas: Panoramas, count: int, size: tuple[int, int], options: ViewOptions, dice: Dice) -> Views:
    """`count` views of (height, width) `size`, each of a picture drawn by its weight."""
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
        # Texels from pixel to pixel in the middle of the view.
        step = float(matrix[:, 0].norm() / (size[1] / 2)) * full.width
        if panoramas.spherical[picture]:
            step /= 2 * math.pi
        levels.append(min(max(round(math.log2(step)), 0), LEVELS - 1))
        matrices.append(matrix)
    return Views(picture=torch.tensor(pictures), level=torch.tensor(levels), matrix=torch.stack(matrices))


def _quarters(count: int, size: tuple[int, int]) -> Tensor:
    """Turn views of (height, width) `size` by so many right angles, without a change of scale."""
    pixels = torch.diag(torch.tensor([size[1], size[0], 1.0], dtype=torch.float64))
    turn = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    return pixels.inverse() @ torch.linalg.matrix_power(turn, count) @ pixels


def draw_motion(panoramas: Panoramas, views: Views, size: tuple[int, int], options: MotionOptions, dice: Dice) -> Views:
    """Return the same views after a small motion, drawn for each."""
    moved = [
        _moved(matrix, panoramas.spherical[picture], size, _draw_step(options, size, dice))
        for picture, matrix in zip(views.picture.tolist(), views.matrix, strict=True)
    ]
    return replace(views, matrix=torch.stack(moved))


def draw_path(
    panoramas: Panoramas, view: Views, frames: int, size: tuple[int, int], options: MotionOptions, dice: Dice
) -> Views:
    """Return one view as `frames` views of a steady motion; `options` bound what happens from one frame to the
    next, `_FARTHEST` what comes of it in a long clip."""
    step, sphere = _draw_step(options, size, dice), panoramas.spherical[int(view.picture)]
    matrices, gone = [view.matrix[0]], dict.fromkeys(_FARTHEST, 0.0)
    while len(matrices) < frames:
        matrices.append(_moved(matrices[-1], sphere, size, step))
        for name, limit in _FARTHEST.items():
            way = getattr(step, name)
            gone[name] += way
            if abs(gone[name]) > limit and gone[name] * way > 0.0:
                step = step._replace(**{name: -way})
    return Views(picture=view.picture.expand(frames), level=view.level.expand(frames), matrix=torch.stack(matrices))


class _Step(NamedTuple):
    """A motion: shifts in (u, v), roll and shears in degrees, zoom as the logarithm of what widens the view."""

    shift_x: float
    shift_y: float
    roll: float
    zoom: float
    shear_x: float
    shear_y: float


_FARTHEST = {"shift_y": 1.0, "roll": 10.0, "zoom": math.log(1.5)}
"""Where a steady motion turns round. A camera that zoomed on would see next to nothing, or half a sphere, and one that
tilted on would turn over.
"""


def _draw_step(options: MotionOptions, size: tuple[int, int], dice: Dice) -> _Step:
    across, down = (options.shift * 2 / length * dice.uniform(-1.0, 1.0) for length in (size[1], size[0]))
    roll, zoom, shear_x, shear_y = (
        limit * dice.uniform(-1.0, 1.0) for limit in (options.roll, options.zoom, options.shear, options.shear)
    )
    return _Step(across, down, roll, math.log1p(zoom), shear_x, shear_y)


def _moved(matrix: Tensor, spherical: bool, size: tuple[int, int], step: _Step) -> Tensor:
    """Return the view after a motion: by turning the camera in a panorama, by an affine transform of a photo."""
    if spherical:
        middle = matrix[:, 2] / matrix[:, 2].norm()
        aim = matrix @ torch.tensor([step.shift_x, step.shift_y, 1.0], dtype=torch.float64)
        turn = _rotation(torch.linalg.cross(middle, aim / aim.norm()))
        spin = _rotation(middle * math.sin(math.radians(step.roll)))
        wider = math.exp(step.zoom)
        return turn @ spin @ matrix @ torch.diag(torch.tensor([wider, wider, 1.0], dtype=torch.float64))
    # In pixels about the middle: z [[cos(hx - r) / cos hx, sin(hx - r) / cos hx], [sin(hy + r) / cos hy,
    # cos(hy + r) / cos hy]].
    roll, x, y = (math.radians(angle) for angle in (step.roll, step.shear_x, step.shear_y))
    affine = torch.eye(3, dtype=torch.float64)
    affine[:2, :2] = math.exp(step.zoom) * torch.tensor(
        [
            [math.cos(x - roll) / math.cos(x), math.sin(x - roll) / math.cos(x)],
            [math.sin(y + roll) / math.cos(y), math.cos(y + roll) / math.cos(y)],
        ]
    )
    affine[:2, 2] = torch.tensor([step.shift_x * size[1], step.shift_y * size[0]])
    pixels = torch.diag(torch.tensor([size[1], size[0], 1.0], dtype=torch.float64))
    return matrix @ pixels.inverse() @ affine @ pixels


def project_pixels(matrix: Tensor, size: tuple[int, int]) -> Tensor:
    """Return what 3 x 3 matrices N make of the pixel centres of a (height, width) picture: N x 3 x H x W,
    float64."""
    height, width = size
    v, u = torch.meshgrid(
        (torch.arange(height, dtype=torch.float64, device=matrix.device) + 0.5) * 2 / height - 1,
        (torch.arange(width, dtype=torch.float64, device=matrix.device) + 0.5) * 2 / width - 1,
        indexing="ij",
    )
    centres = torch.stack((u, v, torch.ones_like(u))).flatten(1)
    return (matrix @ centres).unflatten(2, (height, width))


def render(panoramas: Panoramas, views: Views, size: tuple[int, int]) -> Tensor:
    """Return the views' light, N x 3 x H x W float32 on the panoramas' device, at the scale of the stored
    pictures."""
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


def grid_between(
    first: Views, second: Views, size: tuple[int, int], device: torch.device | str
) -> tuple[Tensor, Tensor]:
    """Where the second views' pixels lie in the first: a grid N x H x W x 2 for grid_sample
    (align_corners=False) and N x 1 x H x W bool, whether that is inside the first picture."""
    between = (first.matrix.inverse() @ second.matrix).to(device)
    x, y, z = project_pixels(between, size).unbind(1)
    grid = torch.stack((x / z, y / z), dim=-1).float()
    # Half a pixel from the edge the picture's light ends; beyond it, grid_sample repeats the edge.
    limit = 1 - 1 / torch.tensor([size[1], size[0]], device=grid.device)
    inside = (grid.abs() <= limit + 1e-6).all(dim=-1) & (z > 0)
    return grid, inside.unsqueeze(1)


def _panorama_view(
    lights: Tensor, stored: tuple[int, int], size: tuple[int, int], options: ViewOptions, dice: Dice
) -> Tensor:
    angle = dice.uniform(*options.angle)
    finest = size[1] / 2 * 2 * math.pi / stored[1] / options.magnification  # tan of half the smallest angle
    half = max(math.tan(math.radians(angle / 2)), min(finest, math.tan(math.radians(options.angle[1] / 2))))
    half_down = half * size[0] / size[1]
    pan, tilt = dice.uniform(-math.pi, math.pi), math.radians(dice.normal(0.0, options.tilt))
    if dice.chance(options.lights):
        x, y = lights[dice.below(LIGHTS)].tolist()
        pan = (x - 0.5) * 2 * math.pi + math.atan(half * dice.uniform(-0.9, 0.9))
        tilt = (0.5 - y) * math.pi + math.atan(half_down * dice.uniform(-0.9, 0.9))
    tilt = min(max(tilt, -math.pi / 3), math.pi / 3)
    spin = _rotation(
        torch.tensor([0.0, 0.0, math.sin(math.radians(dice.normal(0.0, options.roll)))], dtype=torch.float64)
    )
    up = _rotation(torch.tensor([-math.sin(tilt), 0.0, 0.0], dtype=torch.float64))
    sin, cos = math.sin(pan), math.cos(pan)
    around = torch.tensor([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]], dtype=torch.float64)
    return around @ up @ spin @ torch.diag(torch.tensor([half, -half_down, 1.0], dtype=torch.float64))


def _photo_view(
    lights: Tensor, stored: tuple[int, int], size: tuple[int, int], options: ViewOptions, dice: Dice
) -> Tensor:
    height, width = stored
    # A pixel and a half stay free around: at a photo's very edge there is nothing to interpolate with.
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


def _rotation(axis: Tensor) -> Tensor:
    """Return the rotation about `axis` (3) whose length is the angle's sine; angles up to 90 degrees."""
    sine = float(axis.norm())
    if sine == 0.0:
        return torch.eye(3, dtype=torch.float64)
    x, y, z = (axis / sine).tolist()
    cross = torch.tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]], dtype=torch.float64)
    return torch.eye(3, dtype=torch.float64) + sine * cross + (1 - math.sqrt(max(0.0, 1 - sine * sine))) * cross @ cross
