"""Planes of decoded frames as tensors, without a way through numpy: frames that a GPU has decoded stay on it."""

from __future__ import annotations

import av
import torch
from torch import Tensor


def planes_of(frame: av.VideoFrame, bits: int) -> list[Tensor]:
    """Return Y, Cb and Cr of a 4:2:0 frame, H x W and twice H/2 x W/2, as copies of its memory where that is.

    `frame` has three planes, or two with Cb and Cr side by side, as hardware gives them (nv12; p010 and its like, whose
    16-bit samples have their `bits` at the top).
    """
    planes = [torch.from_dlpack(plane) for plane in frame.planes]
    if len(planes) == 2:
        luma, chroma = planes
        planes = [luma, chroma[..., 0], chroma[..., 1]]
        if luma.dtype is torch.uint16:
            planes = [(plane.to(torch.int32) >> (16 - bits)).to(torch.uint16) for plane in planes]
    copies = [plane.clone(memory_format=torch.contiguous_format) for plane in planes]
    if copies[0].device.type == "cuda":
        # The decoder reuses its surfaces as soon as the frame is let go.
        torch.cuda.current_stream(copies[0].device).synchronize()
    return copies
