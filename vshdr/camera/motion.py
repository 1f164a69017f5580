"""How the virtual camera moves, and the exact optical flow that comes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from vshdr.camera.panoramas import Panoramas
from vshdr.camera.views import Views, project_pixels, rotation
from vshdr.runtime.dice import Dice


@dataclass(frozen=True, kw_only=True)
class MotionOptions:
    """How far the camera moves from one view to the next; all zero for a still picture.

    The defaults are the ranges of Eilertsen, Mantiuk and Unger, "Single-frame Regularization for Temporally Stable
    CNNs", CVPR 2019. In panoramas the camera really turns, rolls and zooms, without shear. Photos are transformed
    affinely.
    """

    shift: float = 2.0
    """Largest shift of the middle of the picture in each direction, in pixels."""
    roll: float = 1.0
    """Largest roll, in degrees either way."""
    zoom: float = 0.03
    """Largest relative change of scale, either way."""
    shear: float = 1.0
    """Largest shear along both axes, in degrees either way; photos only."""


def draw_motion(panoramas: Panoramas, views: Views, size: tuple[int, int], options: MotionOptions, dice: Dice) -> Views:
    """Return `views` after a small motion that is drawn for each."""
    moved = [
        _moved(matrix, panoramas.spherical[picture], size, _draw_step(options, size, dice))
        for picture, matrix in zip(views.picture.tolist(), views.matrix, strict=True)
    ]
    return replace(views, matrix=torch.stack(moved))


def draw_path(
    panoramas: Panoramas, view: Views, frames: int, size: tuple[int, int], options: MotionOptions, dice: Dice
) -> Views:
    """Return `frames` views along a steady motion that begins at `view`, a single one.

    `options` limit the motion from one frame to the next. Where a long clip would drift too far (`_FARTHEST`), that
    part of the motion turns round.
    """
    step, sphere = _draw_step(options, size, dice), panoramas.spherical[int(view.picture)]
    matrices, travelled = [view.matrix[0]], dict.fromkeys(_FARTHEST, 0.0)
    while len(matrices) < frames:
        matrices.append(_moved(matrices[-1], sphere, size, step))
        for name, limit in _FARTHEST.items():
            change = getattr(step, name)
            travelled[name] += change
            if abs(travelled[name]) > limit and travelled[name] * change > 0.0:
                step = step._replace(**{name: -change})
    return Views(picture=view.picture.expand(frames), level=view.level.expand(frames), matrix=torch.stack(matrices))


class _Step(NamedTuple):
    """A motion: shifts in units of (u, v), roll and shears in degrees, zoom as the log of the factor on the view."""

    shift_x: float
    shift_y: float
    roll: float
    zoom: float
    shear_x: float
    shear_y: float


_FARTHEST = {"shift_y": 1.0, "roll": 10.0, "zoom": math.log(1.5)}
"""Where a steady motion turns round. A camera that kept zooming would end with almost nothing or half a sphere in view;
one that kept tilting would turn over.
"""


def _draw_step(options: MotionOptions, size: tuple[int, int], dice: Dice) -> _Step:
    """Return a motion within the limits of `options`, for views of (height, width) `size`."""
    across, down = (options.shift * 2 / length * dice.uniform(-1.0, 1.0) for length in (size[1], size[0]))
    roll, zoom, shear_x, shear_y = (
        limit * dice.uniform(-1.0, 1.0) for limit in (options.roll, options.zoom, options.shear, options.shear)
    )
    return _Step(across, down, roll, math.log1p(zoom), shear_x, shear_y)


def _moved(matrix: Tensor, spherical: bool, size: tuple[int, int], step: _Step) -> Tensor:
    """Return a view after a motion: the camera turns in a panorama, a photo is transformed affinely."""
    if spherical:
        middle = matrix[:, 2] / matrix[:, 2].norm()
        aim = matrix @ torch.tensor([step.shift_x, step.shift_y, 1.0], dtype=torch.float64)
        turn = rotation(torch.linalg.cross(middle, aim / aim.norm()))
        spin = rotation(middle * math.sin(math.radians(step.roll)))
        wider = math.exp(step.zoom)
        return turn @ spin @ matrix @ torch.diag(torch.tensor([wider, wider, 1.0], dtype=torch.float64))
    # The same transform as in `metrics.flicker.equivariance.affine_grid`, in pixels about the middle:
    # z [[cos(hx - r) / cos hx, sin(hx - r) / cos hx], [sin(hy + r) / cos hy, cos(hy + r) / cos hy]].
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


def grid_between(
    first: Views, second: Views, size: tuple[int, int], device: torch.device | str
) -> tuple[Tensor, Tensor]:
    """Return the exact motion between two views: a grid, N x H x W x 2 for `warp`, that says where each pixel of
    `second` lies in `first`, and whether that is inside the first picture, N x 1 x H x W bool."""
    between = (first.matrix.inverse() @ second.matrix).to(device)
    x, y, z = project_pixels(between, size).unbind(1)
    grid = torch.stack((x / z, y / z), dim=-1).float()
    # The outermost pixel centres are half a pixel from the edge; beyond them `warp` repeats the border.
    limit = 1 - 1 / torch.tensor([size[1], size[0]], device=grid.device)
    inside = (grid.abs() <= limit + 1e-6).all(dim=-1) & (z > 0)
    return grid, inside.unsqueeze(1)
