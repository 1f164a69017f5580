"""SDR from anything: opens video, images and scripts, and converts their frames to RGB code values."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from torch import Tensor

from vshdr.errors import InputError, reason
from vshdr.media.numbered_name import NumberedName
from vshdr.media.read.image_source import HDR_SUFFIXES, IMAGE_SUFFIXES, folder_files, open_images, pattern_files
from vshdr.media.read.script_source import open_script
from vshdr.media.read.source import Frame, Source
from vshdr.media.read.video_source import open_video
from vshdr.media.signal import sdr_arguments
from vshdr.media.zimg import Resizer
from vshdr.runtime.memory import Pool

IMAGE_FRAME_RATE = Fraction(24)
"""Frames per second of image sequences where none are given."""


def open_source(path: str | Path, *, frame_rate: Fraction | None = None, allow_hdr: bool = False) -> Source:
    """Open a video file, an image, an image sequence (`shot.%04d.png`, `shot.####.png` or a folder) or a `.vpy`
    script.

    `frame_rate` is for images only: video and scripts have timestamps of their own. With `allow_hdr` a clip that is
    tagged PQ or HLG is taken for SDR. Raise InputError, one sentence that names the file, for everything that cannot be
    read.
    """
    try:
        return _open(Path(path), frame_rate, allow_hdr)
    except OSError as error:
        raise InputError(f"{path}: {reason(error)}") from None


def _open(path: Path, frame_rate: Fraction | None, allow_hdr: bool) -> Source:
    timed = frame_rate is None
    rate = IMAGE_FRAME_RATE if timed else Fraction(frame_rate)
    if rate <= 0:
        raise InputError(f"a frame rate of {rate} is not above zero")
    if path.is_dir():
        return open_images(folder_files(path), path.name, frame_rate=rate, allow_hdr=allow_hdr)
    if not path.exists() and (pattern := NumberedName.parse(path)):
        return open_images(pattern_files(pattern), path.name, frame_rate=rate, allow_hdr=allow_hdr)
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder")
    if path.suffix.lower() in IMAGE_SUFFIXES | HDR_SUFFIXES:
        return open_images([path], path.name, frame_rate=rate, allow_hdr=allow_hdr)
    if not timed:
        raise InputError(f"{path.name}: a frame rate can be given for images only; this clip has timestamps of its own")
    if path.suffix.lower() == ".vpy":
        return open_script(path, allow_hdr=allow_hdr)
    return open_video(path, allow_hdr=allow_hdr)


class SdrConverter:
    """A function from frames of one source to SDR code values as networks see them; for one thread at a time."""

    def __init__(self, source: Source) -> None:
        """Raise InputError where zimg has no conversion for the source's colour description."""
        self._source = source
        self._pool = Pool()
        self._resizer = Resizer(
            source.format_id, source.coded_width, source.coded_height, source.properties, sdr_arguments(source.signal)
        )

    def __call__(self, frame: Frame) -> Tensor:
        """Return RGB code values, 3 x H x W, float32, upright, cropped to the true size; in memory of its own."""
        source = self._source
        sdr = self._pool.empty((3, source.height, source.width))
        for channel, plane in zip(sdr.numpy(), self._resizer(frame.planes), strict=True):
            np.copyto(channel, source.orientation.upright(plane[: source.stored_height, : source.stored_width]))
        return sdr


def read_sdr(source: Source) -> Iterator[tuple[Frame, Tensor]]:
    """Yield every frame of `source` with its SDR code values, 3 x H x W."""
    convert = SdrConverter(source)
    for frame in source:
        yield frame, convert(frame)
