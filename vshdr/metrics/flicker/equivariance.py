"""Equivariance: whether an expansion of a slightly moved picture is the moved expansion.

An expansion that is not equivariant flickers as soon as the camera moves.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vshdr.metrics.stops import stops
from vshdr.temporal.warp import warp


def affine_grid(
    count: int, height: int, width: int, generator: torch.Generator, scale: float = 1.0, shear_down: float = 1.0
) -> Tensor:
    """Return `count` small random affine transforms as grids for `warp`, N x H x W x 2, on the generator's device.

    The ranges are those of Eilertsen, Mantiuk and Unger, CVPR 2019 (see `equivariance_error`): translation U[-2, 2]
    pixels, rotation and shear U[-1, 1] degrees, zoom U[0.97, 1.03]. All are multiplied by `scale`, the shear of columns
    also by `shear_down`. With c the picture's centre, a point p of the moved picture lies in the first picture at
    c + A (p - c + t), where A = z [[cos(hx - r) / cos hx, sin(hx - r) / cos hx], [sin(hy + r) / cos hy,
    cos(hy + r) / cos hy]] for translation t, rotation r, shears hx and hy and zoom z.
    """
    drawn = scale * (2.0 * torch.rand(6, count, generator=generator, device=generator.device) - 1.0)
    shift = 2.0 * drawn[:2]
    turn, shear_x, shear_y = torch.deg2rad(drawn[2:5])
    shear_y = shear_down * shear_y
    zoom = 1.0 + 0.03 * drawn[5]
    rows = (
        torch.stack((torch.cos(shear_x - turn), torch.sin(shear_x - turn))) / torch.cos(shear_x),
        torch.stack((torch.sin(shear_y + turn), torch.cos(shear_y + turn))) / torch.cos(shear_y),
    )
    matrix = zoom * torch.stack(rows)  # 2 x 2 x N
    y = torch.arange(height, device=shift.device) - (height - 1) / 2
    x = torch.arange(width, device=shift.device) - (width - 1) / 2
    offset = torch.stack(torch.broadcast_tensors(x, y.unsqueeze(1)), dim=-1)  # p - c, H x W x 2
    offset = offset + shift.T.view(count, 1, 1, 2)
    source = torch.einsum("ijn,nhwj->nhwi", matrix, offset)
    return source * source.new_tensor((2.0 / width, 2.0 / height))


def equivariance_error(of_moved: Tensor, output: Tensor, grid: Tensor, valid: Tensor) -> float:
    """Return the mean of |f(T x) - T f(x)| in stops, for an expansion f and a movement T; NaN where nothing is valid.

    `of_moved` is f(T x) and `output` is f(x), linear light N x 3 x H x W; `grid`, N x H x W x 2, is T for `warp`;
    `valid`, N x 1 x H x W bool, is set where T points inside the picture (`is_inside`). In stops the measure does not
    depend on overall gain: a dark output is not steadier than a bright one. For a pointwise operator only the
    interpolation is left, which comes before the operator in one term and after it in the other.

    Eilertsen, Mantiuk and Unger, "Single-frame Regularization for Temporally Stable CNNs", CVPR 2019.
    """
    return float((stops(of_moved) - warp(stops(output), grid)).abs()[valid].mean())
