"""Real video compression for the virtual camera: pictures go through H.264 or HEVC by way of FFmpeg, on the
host."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vshdr.camera.degradations import from_planes, to_planes
from vshdr.errors import MissingPackageError

ENCODERS = {"h264": "libx264", "hevc": "libx265"}
_SMALLEST = 64
"""Sides that encoders are given at least: x265 corrupts its memory on frames that are 33 to 48 wide."""


def round_trip(sdr: Tensor, codec: str, crf: int) -> Tensor:
    """Return frames T x 3 x H x W of code values after 8-bit 4:2:0 limited-range video of one codec (a key of
    `ENCODERS`).

    The frames are one clip, so that prediction between them acts. Height and width must be even. The same
    frames give the same result. Raise MissingPackageError where FFmpeg has not this encoder.
    """
    frames, _, rows, columns = sdr.shape
    if ENCODERS[codec] not in av.codecs_available:
        raise MissingPackageError(f"this FFmpeg has no {ENCODERS[codec]}; install another build of PyAV")
    height, width = max(rows, _SMALLEST), max(columns, _SMALLEST)
    padded = functional.pad(sdr.cpu(), (0, width - columns, 0, height - rows), mode="replicate")
    luma, chroma = to_planes(padded, subsample=True)
    luma = (16 + 219 * luma).round().byte().numpy()
    chroma = (128 + 224 * chroma).round().clamp(16, 240).byte().numpy()
    encoder = av.CodecContext.create(ENCODERS[codec], "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 24), Fraction(24)
    quiet = {"x265-params": "log-level=none:pools=none:frame-threads=1"} if codec == "hevc" else {"threads": "1"}
    encoder.options = {"crf": str(crf), "preset": "veryfast", **quiet}
    packets = []
    for index in range(frames):
        planes = np.concatenate((luma[index].ravel(), chroma[index].ravel()))
        frame = av.VideoFrame.from_ndarray(planes.reshape(height * 3 // 2, width), format="yuv420p")
        frame.pts = index
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoder = av.CodecContext.create(codec, "r")
    if encoder.extradata:
        decoder.extradata = encoder.extradata
    decoded = [frame for packet in (*packets, None) for frame in decoder.decode(packet)]
    planes = torch.from_numpy(np.stack([frame.to_ndarray(format="yuv420p") for frame in decoded])).float()
    flat = planes.flatten(1)
    luma_back = (flat[:, : height * width].reshape(frames, 1, height, width) - 16) / 219
    chroma_back = (flat[:, height * width :].reshape(frames, 2, height // 2, width // 2) - 128) / 224
    return from_planes((luma_back, chroma_back))[..., :rows, :columns].to(sdr.device)
