"""Dense optical flow between two small pictures.

On a CPU it is OpenCV's DIS, on a GPU Lucas-Kanade in torch, so that the pictures need not leave the GPU.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vshdr.temporal.warp import warp_by_flow

_SMALLEST = 32  # pixels: smaller sides say nothing about motion
_WINDOW = 11  # pixels: Lucas-Kanade takes the motion within one window for constant
_STEPS = 3  # of Lucas-Kanade, per level of the pyramid
_LONGEST_STEP = 2.0  # pixels: a longer step comes from a window without structure
_FLAT = 3e-3  # added to the structure tensor: above what noise alone has, so that flat windows stay in place


def flow(here: Tensor, there: Tensor) -> Tensor:
    """Return where each pixel of `here` lies in `there`: 1 x 2 x H x W, pixels to the right and down.

    Both are luma codes in [0, 1], 1 x 1 x H x W, on one device. The result is zero for pictures with a side below 32.
    """
    if min(here.shape[-2:]) < _SMALLEST:
        return here.new_zeros(1, 2, *here.shape[-2:])
    return inverse_search(here, there) if here.device.type == "cpu" else lucas_kanade(here, there)


def inverse_search(here: Tensor, there: Tensor, preset: int = cv2.DISOPTICAL_FLOW_PRESET_FAST) -> Tensor:
    """Return the flow by OpenCV's dense inverse search, on a CPU. Arguments and result as for `flow`.

    Kroeger, Timofte, Dai and Van Gool, "Fast optical flow using dense inverse search", ECCV 2016.
    """
    first, second = ((luma[0, 0] * 255.0).round_().clamp_(0.0, 255.0).byte().numpy() for luma in (here, there))
    search = cv2.DISOpticalFlow_create(preset)  # pyright: ignore[reportAttributeAccessIssue]  # missing in OpenCV's stub
    motion: np.ndarray = search.calc(first, second, None)
    return torch.from_numpy(motion).permute(2, 0, 1)[None].contiguous()


def lucas_kanade(here: Tensor, there: Tensor) -> Tensor:
    """Return the flow by iterative Lucas-Kanade on a pyramid, for all pixels at once, on any device. Arguments and
    result as for `flow`.

    Bouguet, "Pyramidal implementation of the Lucas Kanade feature tracker", 2000.
    """
    pyramid = [(here, there)]
    while min(pyramid[-1][0].shape[-2:]) >= 2 * _WINDOW:
        finer, finer_there = pyramid[-1]
        pyramid.append((F.avg_pool2d(finer, 2, ceil_mode=True), F.avg_pool2d(finer_there, 2, ceil_mode=True)))
    motion = here.new_zeros(1, 2, *pyramid[-1][0].shape[-2:])
    for level, (a, b) in enumerate(reversed(pyramid)):
        if level:
            height, width = a.shape[-2:]
            motion = enlarge(2.0 * motion, 2, (height, width))
        motion = _refine(a, b, motion)
    return motion


def _refine(a: Tensor, b: Tensor, motion: Tensor) -> Tensor:
    """Return `motion` after a few Lucas-Kanade steps on one level of the pyramid."""
    edges = F.pad(a, (1, 1, 1, 1), mode="replicate")
    across = (edges[..., 1:-1, 2:] - edges[..., 1:-1, :-2]) / 2.0
    down = (edges[..., 2:, 1:-1] - edges[..., :-2, 1:-1]) / 2.0
    xx, xy, yy = (box(product, _WINDOW) for product in (across * across, across * down, down * down))
    xx, yy = xx + _FLAT, yy + _FLAT
    determinant = xx * yy - xy * xy
    for _ in range(_STEPS):
        difference = warp_by_flow(b, motion) - a
        x, y = box(across * difference, _WINDOW), box(down * difference, _WINDOW)
        step = torch.cat([xy * y - yy * x, xy * x - xx * y], dim=1) / determinant
        motion = box(motion + step.clamp(-_LONGEST_STEP, _LONGEST_STEP), 3)
    return motion


def enlarge(small: Tensor, factor: int, size: tuple[int, int]) -> Tensor:
    """Return `small`, 1 x C x h x w, enlarged `factor` times, bilinearly, and cut to (height, width) `size`.

    It undoes `avg_pool2d` with `ceil_mode`, which pads the last row and column.
    """
    return F.interpolate(small, scale_factor=factor, mode="bilinear")[..., : size[0], : size[1]]


def box(picture: Tensor, side: int) -> Tensor:
    """Return the mean over squares of `side` (odd) pixels; pixels beyond the border are left out of the mean."""
    return F.avg_pool2d(picture, side, 1, side // 2, count_include_pad=False)
