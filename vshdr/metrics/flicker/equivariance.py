"""How steady an expansion is, in stops: under motion of the whole picture, over time along exact flow, and on
a still frame.

Stops make all of it independent of overall gain: a dark output is not steadier than a bright one. Where a
mask selects nothing, the result is NaN.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from vshdr.metrics.stops import stops


def warp(picture: Tensor, grid: Tensor) -> Tensor:
    """Return N x C x H x W looked up at `grid`, N x H x W x 2 in [-1, 1] (align_corners=False), bilinearly; the
    border is repeated.
    """
    return functional.grid_sample(picture, grid.to(picture), padding_mode="border", align_corners=False)


def affine_grid(
    count: int, height: int, width: int, generator: torch.Generator, scale: float = 1.0, shear_down: float = 1.0
) -> Tensor:
    """Return one random small transform per sample as a grid N x H x W x 2, on the generator's device.

    Eilertsen et al., CVPR 2019: translation U[-2, 2] pixels, rotation and shear U[-1, 1] degrees, zoom U[0.97, 1.03],
    all ranges times `scale`, and the shear of columns times `shear_down` besides. A point of the second view lies in
    the first at c + A (p - c + t) with the picture's centre c and
    A = z [[cos(hx - r) / cos hx, sin(hx - r) / cos hx], [sin(hy + r) / cos hy, cos(hy + r) / cos hy]].
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
    place = torch.stack(torch.broadcast_tensors(x, y.unsqueeze(1)), dim=-1)  # H x W x 2
    place = place + shift.T.view(count, 1, 1, 2)
    source = torch.einsum("ijn,nhwj->nhwi", matrix, place)
    return source * source.new_tensor((2.0 / width, 2.0 / height))


def looks_inside(grid: Tensor) -> Tensor:
    """Return N x 1 x H x W bool: `grid`, N x H x W x 2, looks between the centres of the outermost pixels, where `warp`
    repeats nothing.
    """
    height, width = grid.shape[1:3]
    return (grid.abs() <= 1.0 - 1.0 / grid.new_tensor([width, height])).all(dim=-1).unsqueeze(1)


def equivariance_error(of_moved: Tensor, output: Tensor, grid: Tensor, valid: Tensor) -> float:
    """Return mean |f(T x) - T f(x)| in stops: `of_moved` is f(T x), `output` is f(x), `grid` is T.

    Linear light N x 3 x H x W; `valid`, N x 1 x H x W, is set where T looks inside the picture. The measure
    behind Eilertsen, Mantiuk and Unger, "Single-frame Regularization for Temporally Stable CNNs", CVPR 2019.
    A point-wise operator has only what interpolation before and after it differs.
    """
    return float((stops(of_moved) - warp(stops(output), grid)).abs()[valid].mean())


def excess_flicker(test: Tensor, truth: Tensor, grid: Tensor, mask: Tensor) -> float:
    """Return mean of max(0, |D test| - |D truth|) in stops per frame, where D is the change since the frame before
    along the flow.

    Linear light T x 3 x H x W; `grid`, T x H x W x 2, says where each pixel was in the frame before, and
    `mask`, T x 1 x H x W, where it was seen and counts. The first frame has none before it and is left out.
    The warped error of Lai et al., "Learning Blind Video Temporal Consistency", ECCV 2018, less what the
    scene itself does (waves, aliasing).
    """
    excess = _change(test, grid).abs() - _change(truth, grid).abs()
    return float(excess.clamp_min(0.0)[mask[1:]].mean())


def pumping(test: Tensor, truth: Tensor, grid: Tensor, mask: Tensor) -> float:
    """Return mean over frames of |mean over pixels of D test - D truth|: how far the whole picture brightens or
    darkens from frame to frame. Arguments as for `excess_flicker`; frames without a pixel in `mask` are left
    out.
    """
    drift = _change(test, grid) - _change(truth, grid)
    means = [frame[seen].mean().abs() for frame, seen in zip(drift, mask[1:], strict=True) if seen.any()]
    return float(sum(means) / len(means)) if means else float("nan")


def still_instability(outputs: Tensor, mask: Tensor) -> float:
    """Return mean |difference| in stops between successive outputs, T x 3 x H x W, of one frame with fresh noise and
    compression, where `mask`, T x 1 x H x W, is set.
    """
    return float(stops(outputs).diff(dim=0).abs()[mask[1:]].mean())


def _change(linear: Tensor, grid: Tensor) -> Tensor:
    light = stops(linear)
    return light[1:] - warp(light[:-1], grid[1:])
