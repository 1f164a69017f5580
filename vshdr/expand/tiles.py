"""Tiles: frames are padded to the sizes that a network takes and cut into tiles that see as much around them as the
network does, so that a tiled frame equals a whole one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from vshdr.models.contract import round_up
from vshdr.runtime.memory import large


def clamp_and_pad(code: Tensor, multiple: int) -> Tensor:
    """Return a copy of code values, N x 3 x H x W, clamped to [0, 1] and padded on the right and below to multiples of
    `multiple`: by reflection, or by repeating the border if the frame is too small to reflect.
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


def tile_size(asked: tuple[int, int], width: int, height: int, *, default: int, multiple: int) -> tuple[int, int]:
    """Return width and height of tiles, as multiples of `multiple`.

    `asked` are those that the user wants; where one is 0, it is `default`, or the frame's own side if that is 0, too.
    """
    tile_width, tile_height = (
        round_up(wanted or default or side, multiple) for wanted, side in zip(asked, (width, height), strict=True)
    )
    return tile_width, tile_height


def in_tiles(
    network: Callable[[Tensor, slice, slice], Tensor], frames: Tensor, tile: tuple[int, int], overlap: int
) -> Tensor:
    """Return what `network` gives for `frames`, N x 3 x H x W, float32, calling it tile by tile.

    `network` takes a tile and the rows and columns of the frame that it covers. `tile` is the width and height of what
    is kept of each result, and `overlap` how many pixels more the network sees on every side. All of these, and the
    frames' sides, are multiples of what the network needs.
    """
    linear = torch.empty_like(frames)
    height, width = frames.shape[-2:]
    for top, bottom, seen_top, seen_bottom in _spans(height, tile[1], overlap):
        for left, right, seen_left, seen_right in _spans(width, tile[0], overlap):
            seen = frames[..., seen_top:seen_bottom, seen_left:seen_right].contiguous()
            out = network(seen, slice(seen_top, seen_bottom), slice(seen_left, seen_right))
            kept = out[..., top - seen_top : bottom - seen_top, left - seen_left : right - seen_left]
            linear[..., top:bottom, left:right] = kept
    return linear


def _spans(length: int, tile: int, overlap: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield the tiles along one side: start and end of what is kept, then start and end of what the network sees.

    What it sees ends at the frame's border instead of being padded there. The network's own padding of its features is
    then where it is for a whole frame, which makes tiles exact up to the border.
    """
    for start in range(0, length, tile):
        end = min(start + tile, length)
        yield start, end, max(0, start - overlap), min(length, end + overlap)
