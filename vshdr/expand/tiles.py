"""Frames in pieces: padded to what a network needs, and cut into tiles that see as much around them as it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from vshdr.models.contract import round_up
from vshdr.runtime.memory import large


def clamp_and_pad(code: Tensor, multiple: int) -> Tensor:
    """Return a copy within [0, 1], padded on the right and below to multiples of `multiple` by reflection, and by
    repetition where the frame is too small to reflect.
    """
    height, width = code.shape[-2:]
    right, below = round_up(width, multiple) - width, round_up(height, multiple) - height
    shape = (*code.shape[:2], height + below, width + right)
    padded = large(shape) if code.device.type == "cpu" else code.new_empty(shape)
    padded[..., :height, :width].copy_(code).clamp_(0.0, 1.0)
    reflects = right < width and below < height
    if below:
        border = (
            padded[..., height - 1 - below : height - 1, :width].flip(2)
            if reflects
            else padded[..., height - 1 : height, :width]
        )
        padded[..., height:, :width] = border
    if right:
        border = padded[..., width - 1 - right : width - 1].flip(3) if reflects else padded[..., width - 1 : width]
        padded[..., width:] = border
    return padded


def in_tiles(
    network: Callable[[Tensor, slice, slice], Tensor], frames: Tensor, tile: tuple[int, int], overlap: int
) -> Tensor:
    """Return what `network` makes of `frames`, N x 3 x H x W, float32: tile by tile. It is told the rows and columns of
    each.

    `tile` is the width and height that a tile keeps of what it gives, and `overlap` how many pixels more it sees on
    every side: all three multiples of what the network needs, as the frame's sides are.
    """
    linear = torch.empty_like(frames)
    height, width = frames.shape[-2:]
    for top, bottom, above, below in _spans(height, tile[1], overlap):
        for left, right, before, after in _spans(width, tile[0], overlap):
            seen = frames[..., above:below, before:after].contiguous()
            out = network(seen, slice(above, below), slice(before, after))
            linear[..., top:bottom, left:right] = out[..., top - above : bottom - above, left - before : right - before]
    return linear


def _spans(length: int, tile: int, overlap: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield tiles along one side: start and end of what is kept, start and end of what the model sees.

    What it sees is cut at the frame's border and not padded there: the network's own padding of its features then falls
    where it falls in a whole frame, which is what makes tiles exact up to the border.
    """
    for start in range(0, length, tile):
        end = min(start + tile, length)
        yield start, end, max(0, start - overlap), min(length, end + overlap)
