"""Dense optical flow between two small pictures: OpenCV's DIS on a CPU, Lucas-Kanade in torch where the pictures are on
a GPU, so that they need not leave it.
"""

from __future__ import annotations

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor

_SMALLEST = 32  # pixels: sides below this say nothing about motion
_WINDOW = 11  # pixels over which Lucas-Kanade takes motion for constant
_STEPS = 3  # of Lucas-Kanade, per level of the pyramid
_LONGEST_STEP = 2.0  # pixels: a longer one comes from a window without structure
_FLAT = 3e-3  # added to the structure tensor: more than noise has, so that windows of noise alone stay in place


def flow(here: Tensor, there: Tensor) -> Tensor:
    """Where each pixel of `here` lies in `there`: 1 x 2 x H x W pixels to the right and down.

    Both are luma codes in [0, 1], 1 x 1 x H x W, on one device. Zero where the pictures are too small to tell.
    """
    if min(here.shape[-2:]) < _SMALLEST:
        return here.new_zeros(1, 2, *here.shape[-2:])
    return inverse_search(here, there) if here.device.type == "cpu" else lucas_kanade(here, there)


def inverse_search(here: Tensor, there: Tensor, preset: int = cv2.DISOPTICAL_FLOW_PRESET_FAST) -> Tensor:
    """Return dense inverse search (Kroeger, Timofte, Dai and Van Gool, ECCV 2016) by OpenCV, on a CPU. See `flow`."""
    pictures = ((luma[0, 0] * 255.0).round_().clamp_(0.0, 255.0).byte().numpy() for luma in (here, there))
    motion = cv2.DISOpticalFlow_create(preset).calc(*pictures, None)
    return torch.from_numpy(motion).permute(2, 0, 1)[None].contiguous()


def lucas_kanade(here: Tensor, there: Tensor) -> Tensor:
    """Iterative Lucas-Kanade on a pyramid (Bouguet 2000), for every pixel at once, on any device. See `flow`."""
    pyramid = [(here, there)]
    while min(pyramid[-1][0].shape[-2:]) >= 2 * _WINDOW:
        pyramid.append(tuple(F.avg_pool2d(picture, 2, ceil_mode=True) for picture in pyramid[-1]))
    motion = here.new_zeros(1, 2, *pyramid[-1][0].shape[-2:])
    for level, (a, b) in enumerate(reversed(pyramid)):
        if level:
            motion = enlarge(2.0 * motion, 2, a.shape[-2:])
        motion = _refine(a, b, motion)
    return motion


def _refine(a: Tensor, b: Tensor, motion: Tensor) -> Tensor:
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


def warp_by_flow(picture: Tensor, motion: Tensor) -> Tensor:
    """Return 1 x C x H x W looked up where `motion`, 1 x 2 x H x W pixels, says, bilinearly; the border is repeated."""
    height, width = picture.shape[-2:]
    shares = motion * motion.new_tensor([2.0 / width, 2.0 / height])[:, None, None]
    return look_up(picture, pixel_centres(height, width, motion), shares)


def pixel_centres(height: int, width: int, like: Tensor) -> Tensor:
    """Return 1 x 2 x H x W: x and y of the pixels, from -1 to 1 between the outer edges of the frame."""
    x = (2.0 * torch.arange(width).to(like) + 1.0) / width - 1.0
    y = (2.0 * torch.arange(height).to(like) + 1.0) / height - 1.0
    return torch.stack(torch.meshgrid(x, y, indexing="xy"))[None]


def look_up(picture: Tensor, place: Tensor, motion: Tensor) -> Tensor:
    """Return 1 x C x H x W at `place` + `motion`, both 1 x 2 x H x W as of `pixel_centres`, bilinearly; the border is
    repeated.
    """
    grid = (place + motion).permute(0, 2, 3, 1)
    return F.grid_sample(picture, grid, padding_mode="border", align_corners=False)


def enlarge(small: Tensor, factor: int, size: tuple[int, int]) -> Tensor:
    """Return 1 x C x h x w enlarged `factor` times, bilinearly, and cut to `size`: undoes `avg_pool2d`
    with ceil_mode.
    """
    return F.interpolate(small, scale_factor=factor, mode="bilinear")[..., : size[0], : size[1]]


def box(picture: Tensor, side: int) -> Tensor:
    """Return the mean over squares of `side` pixels (odd); beyond the border nothing is counted."""
    return F.avg_pool2d(picture, side, 1, side // 2, count_include_pad=False)
