"""Planes of decoded frames as tensors, without going through NumPy: frames that a GPU has decoded stay on it."""

from __future__ import annotations

import av
import torch
from torch import Tensor


def planes_of(frame: av.VideoFrame, bits: int) -> list[Tensor]:
    """Return Y, Cb and Cr of a 4:2:0 frame, H x W and twice H/2 x W/2, as copies on the device that it lies on.

    `frame` has three planes, or two with Cb and Cr side by side, as hardware decoders give them: nv12, and p010 and its
    like, whose 16-bit samples have their `bits` at the top.
    """
    planes = [torch.from_dlpack(plane) for plane in frame.planes]
    if len(planes) == 2:
        luma, chroma = planes
        planes = [luma, chroma[..., 0], chroma[..., 1]]
        if luma.dtype is torch.uint16:
            planes = [(plane.to(torch.int32) >> (16 - bits)).to(torch.uint16) for plane in planes]
    copies = [plane.clone(memory_format=torch.contiguous_format) for plane in planes]
    if copies[0].device.type == "cuda":
        # The decoder reuses its memory as soon as the frame is released, so the copies must have been made by then.
        torch.cuda.current_stream(copies[0].device).synchronize()
    return copies
