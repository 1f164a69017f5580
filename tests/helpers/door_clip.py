"""The clip that goes through all doors, as a file, as tensors and as a VapourSynth clip."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
import vapoursynth as vs
from torch import Tensor

from vshdr.media.read.reader import open_source, read_sdr
from vshdr.media.read.source import Source

WIDTH, HEIGHT, LENGTH = 160, 96, 48
CUT, FLASH = 19, 33  # the first frame of the second shot, and one frame that is nearly white


def _frame(number: int) -> np.ndarray:
    """Return code values of R, G and B, H x W x 3: texture that pans, a lamp that clips, and grain."""
    random = np.random.default_rng(1 if number < CUT else 2)
    texture = np.kron(random.random((HEIGHT // 8, WIDTH // 4, 3)), np.ones((8, 8, 1)))
    code = 0.15 + 0.6 * np.roll(texture, number, axis=1)[:, :WIDTH]
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(x - (40 if number < CUT else 110) - number, y - 50)
    code += np.clip((26 - distance) / 8, 0.0, 1.0)[..., None] * (1.0, 0.9, 0.7)
    code += 0.03 * np.random.default_rng(100 + number).standard_normal(code.shape)
    return np.clip(code + 0.8 * (number == FLASH), 0.0, 1.0)


def write_door_clip(path: Path) -> Path:
    """Write 48 frames of 160 x 96 as 8-bit 4:2:0 BT.709 in FFV1, so that a file holds exactly what a clip holds."""
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(24))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        context = stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = context.color_range = 1
        for number in range(LENGTH):
            rgb = np.round(_frame(number) * 255).astype(np.uint8)
            picture = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format="yuv420p", dst_colorspace=1, threads=1)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def as_clip(video: Path, asked: list[int] | None = None) -> vs.VideoNode:
    """Return the frames of a file as a VapourSynth clip; `asked` is told the number of each frame that is asked for."""
    source = open_source(video)
    planes = [frame.planes for frame in source]
    blank = vs.core.std.BlankClip(
        width=source.width, height=source.height, format=source.format_id, length=len(planes), keep=True
    )

    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        if asked is not None:
            asked.append(n)
        frame = f.copy()
        for number, plane in enumerate(planes[n]):
            np.asarray(frame[number])[:] = plane
        return frame

    return vs.core.std.ModifyFrame(blank, blank, fill).std.SetFrameProps(**source.properties)


def linear_as_clip(linear: Tensor, properties: dict[str, int]) -> vs.VideoNode:
    """Return linear light, N x 3 x H x W, as an RGBS clip."""
    blank = vs.core.std.BlankClip(width=WIDTH, height=HEIGHT, format=vs.RGBS, length=len(linear), keep=True)

    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        frame = f.copy()
        for number, plane in enumerate(linear[n].numpy()):
            np.asarray(frame[number])[:] = plane
        return frame

    return vs.core.std.ModifyFrame(blank, blank, fill).std.SetFrameProps(**properties)


def planes_of(frame: vs.VideoFrame) -> list[np.ndarray]:
    """Return copies of a frame's planes."""
    return [np.array(frame[number]) for number in range(frame.format.num_planes)]


def linear_of(frame: vs.VideoFrame) -> Tensor:
    """Return an RGBS frame, 3 x H x W."""
    return torch.from_numpy(np.stack(planes_of(frame)))


def sdr_of(source: Source) -> Tensor:
    """Return the code values of a whole file, N x 3 x H x W."""
    return torch.stack([code for _, code in read_sdr(source)])
