"""Real video compression for the virtual camera: H.264 and HEVC by FFmpeg, on the CPU."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple, cast

import av
import numpy as np
import torch
from av.video.codeccontext import VideoCodecContext
from torch import Tensor
from torch.nn import functional

from vshdr.camera.degradations import Planes, from_planes, to_planes
from vshdr.errors import MissingPackageError

ENCODERS = {"h264": "libx264", "hevc": "libx265"}
"""FFmpeg's encoder for each codec."""
_REPEATABLE = {
    "h264": {"threads": "1", "x264-params": "cpu-independent=1"},
    "hevc": {"x265-params": "log-level=none:pools=none:frame-threads=1"},
}
"""Options that make an encoder give the same result for the same frames. Without `cpu-independent`, x264 decides by
approximate floating-point sums (of mbtree) that differ from run to run on small frames."""
_SMALLEST = 64
"""Least width and height that encoders are given: x265 corrupts its memory on frames 33 to 48 pixels wide."""


class CodecSetting(NamedTuple):
    """A video codec and its quality."""

    codec: str
    """A key of `ENCODERS`."""
    crf: int
    """Constant rate factor."""


def round_trip(sdr: Tensor, codec: str, crf: int) -> Tensor:
    """Return code values, T x 3 x H x W in [0, 1], after 8-bit 4:2:0 limited-range video.

    `codec` is a key of `ENCODERS`, `crf` its constant rate factor. The frames are one clip, so the codec predicts one
    from another. Height and width must be even. The same frames give the same result. Raise MissingPackageError
    if FFmpeg lacks the encoder.
    """
    frames, _, rows, columns = sdr.shape
    if ENCODERS[codec] not in av.codecs_available:
        raise MissingPackageError(f"this FFmpeg has no {ENCODERS[codec]}; install another build of PyAV")
    height, width = max(rows, _SMALLEST), max(columns, _SMALLEST)
    padded = functional.pad(sdr.cpu(), (0, width - columns, 0, height - rows), mode="replicate")
    luma, chroma = to_planes(padded, subsample=True)
    luma = (16 + 219 * luma).round().byte().numpy()
    chroma = (128 + 224 * chroma).round().clamp(16, 240).byte().numpy()
    encoder = cast(VideoCodecContext, av.CodecContext.create(ENCODERS[codec], "w"))
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 24), Fraction(24)
    encoder.options = {"crf": str(crf), "preset": "veryfast", **_REPEATABLE[codec]}
    packets = []
    for index in range(frames):
        planes = np.concatenate((luma[index].ravel(), chroma[index].ravel()))
        frame = av.VideoFrame.from_ndarray(planes.reshape(height * 3 // 2, width), format="yuv420p")
        frame.pts = index
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoder = cast(VideoCodecContext, av.CodecContext.create(codec, "r"))
    if encoder.extradata:
        decoder.extradata = encoder.extradata
    decoded = [frame for packet in (*packets, None) for frame in decoder.decode(packet)]
    planes = torch.from_numpy(np.stack([frame.to_ndarray(format="yuv420p") for frame in decoded])).float()
    flat = planes.flatten(1)
    luma_back = (flat[:, : height * width].reshape(frames, 1, height, width) - 16) / 219
    chroma_back = (flat[:, height * width :].reshape(frames, 2, height // 2, width // 2) - 128) / 224
    return from_planes(Planes(luma_back, chroma_back))[..., :rows, :columns].to(sdr.device)
