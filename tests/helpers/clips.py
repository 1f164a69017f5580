"""Small SDR videos and images, made when a test needs them."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def picture(index: int, width: int, height: int) -> np.ndarray:
    """Return RGB in [0, 1], H x W x 3: a moving gradient, a clipped disc, and a grey patch in the upper left corner."""
    y, x = np.mgrid[:height, :width]
    rgb = np.stack([x / width, y / height, (x + 3 * index) % width / width], axis=-1) * 0.8
    disc = np.hypot(x - width * 0.7 - index, y - height * 0.5) < height * 0.2
    rgb[disc] = 1.0
    rgb[:12, :12] = 0.5
    return rgb


def write_clip(
    path: Path,
    *,
    frames: int = 8,
    size: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    pts: list[int] | None = None,
    rate: int = 25,
    tags: tuple[int, int, int] = (1, 1, 1),
) -> Path:
    """Write a video of `picture`s. `pts` are milliseconds; `tags` are H.273 primaries, transfer and matrix."""
    width, height = size
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.time_base = Fraction(1, 1000)
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = tags
        context.color_range = 1
        if codec == "libx264":
            context.options = {"crf": "12", "preset": "veryfast"}
        for index in range(frames):
            code = np.round(picture(index, width, height) * 65535).astype(np.uint16)
            frame = av.VideoFrame.from_ndarray(code, "rgb48le").reformat(
                format=pixel_format, dst_colorspace=tags[2], threads=1
            )
            frame.pts = pts[index] if pts else index * 1000 // rate
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_images(folder: Path, *, count: int = 3, depth: int = 8, size: tuple[int, int] = (40, 30)) -> Path:
    """Write a folder of PNGs of 8 or 16 bits, numbered from 1."""
    folder.mkdir()
    for index in range(count):
        code = np.round(picture(index, *size) * (2**depth - 1)).astype(np.uint8 if depth == 8 else np.uint16)
        write_png(folder / f"frame.{index + 1:04d}.png", code)
    return folder


def write_png(path: Path, code: np.ndarray) -> None:
    """Write a PNG of uint8 or uint16 RGB, H x W x 3."""
    pixel_format = "rgb24" if code.dtype == np.uint8 else "rgb48be"
    with av.open(path, "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = code.shape[1], code.shape[0], pixel_format
        frame = av.VideoFrame.from_ndarray(code, "rgb24" if code.dtype == np.uint8 else "rgb48le")
        container.mux(stream.encode(frame.reformat(format=pixel_format, threads=1)))
        container.mux(stream.encode())
