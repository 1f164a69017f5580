"""Reading single images and numbered image sequences: PNG, JPEG, TIFF and the like, 8 or 16 bits."""

from __future__ import annotations

import hashlib
import os
import re
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.error import FFmpegError

from vshdr.colour.h273 import ColourRange, Matrix, Transfer
from vshdr.errors import InputError, reason
from vshdr.media.numbered_name import NumberedName
from vshdr.media.read.first_frame import FrameFormat, describe_first_frame, format_of, note_first_frame, orientation_of
from vshdr.media.read.pixels import PixelLayout
from vshdr.media.read.source import Frame, Source, pad_to_coded_size

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".tga", ".ppm", ".pgm"}
HDR_SUFFIXES = {".exr", ".hdr"}

# Images are made for computer screens: sRGB in full range where they say nothing else, also grey and YUV ones.
_IMAGE_DEFAULTS = {"_Matrix": Matrix.BT709, "_Transfer": Transfer.SRGB, "_Range": ColourRange.FULL}


@dataclass(kw_only=True)
class ImageSource(Source):
    """One or more images of one size. Built by `open_images`."""

    paths: Sequence[Path]
    layout: PixelLayout
    look: FrameFormat
    """That of the first image."""

    def digest(self) -> str:
        """Return a digest of the files' names, sizes and times: they are too many to be read twice."""
        status = [(path.name, path.stat()) for path in self.paths]
        files = "\n".join(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in status)
        return f"{len(status)}:{hashlib.sha256(files.encode(errors='surrogateescape')).hexdigest()[:16]}"

    def __iter__(self) -> Iterator[Frame]:
        for index, decoded in enumerate(_decode_ahead(self.paths)):
            path = self.paths[index]
            if (format_of(decoded), orientation_of(decoded)) != (self.look, self.orientation):
                raise InputError(
                    f"{path.name}: size, pixel format, colour tags or orientation differ from those of "
                    f"{self.paths[0].name}; all images of a sequence have to agree"
                )
            planes = pad_to_coded_size(self.layout.planes(decoded), self.coded_width, self.coded_height)
            yield Frame(index=index, pts=index, duration=1, planes=planes)


def open_images(paths: Sequence[Path], name: str, *, frame_rate: Fraction, allow_hdr: bool = False) -> ImageSource:
    """Return the images `paths`, in this order, as a clip of `frame_rate`; time is counted in frames.

    Raise InputError, one sentence, where an image cannot be read. The first is read now, the others when the source is
    iterated.
    """
    for path in paths:
        if path.suffix.lower() in HDR_SUFFIXES:
            raise InputError(f"{path.name}: {path.suffix.lower()} images already are HDR; vshdr expands SDR")
    first = decode_image(paths[0])
    fields = describe_first_frame(first, name, aspect=Fraction(1), allow_hdr=allow_hdr, defaults=_IMAGE_DEFAULTS)
    source = ImageSource(paths=paths, time_base=1 / frame_rate, frame_rate=frame_rate, frame_count=len(paths), **fields)
    note_first_frame(source, source.layout)
    return source


def pattern_files(pattern: NumberedName) -> list[Path]:
    """Return the files of a numbered sequence in order, beginning with the lowest number that is there.

    Raise InputError where none matches or a number is missing in between.
    """
    numbered = pattern.files() if pattern.folder.is_dir() else {}
    if not numbered:
        raise InputError(f"{pattern.folder}: no file matches {pattern.before}{'#' * pattern.digits}{pattern.after}")
    return _without_gap(pattern, numbered)


def folder_files(folder: Path) -> list[Path]:
    """Return the images of a folder in natural order (2 before 10).

    Raise InputError where there is none, and where names that differ only in their number leave one out.
    """
    paths = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES | HDR_SUFFIXES and path.is_file() and not path.name.startswith(".")
    ]
    if not paths:
        raise InputError(f"{folder}: there are no images in this folder")
    paths.sort(
        key=lambda path: [int(part) if part.isdigit() else part.lower() for part in re.split(r"(\d+)", path.name)]
    )
    if match := re.fullmatch(r"(.*?)(\d+)(\D*)", paths[0].name):
        pattern = NumberedName(folder, match[1], len(match[2]), match[3])
        if len(numbered := pattern.files()) == len(paths):
            return _without_gap(pattern, numbered)
    return paths


def decode_image(path: Path) -> av.VideoFrame:
    """Return the first picture of an image file. Raise InputError where it is not an image or not complete."""
    try:
        # Through a file object: FFmpeg then goes by content and does not take a % in the name for a counter.
        with path.open("rb") as file, av.open(file, "r") as container:
            decoder = container.streams.video[0].codec_context
            if decoder.name == "mjpeg":  # else FFmpeg makes up the rest of a file that is cut off
                decoder.options = {"err_detect": "explode"}
            for frame in container.decode(video=0):
                if not frame.is_corrupt:
                    return frame
    except (FFmpegError, IndexError) as error:
        said = f" ({reason(error)})" if isinstance(error, FFmpegError) else ""
        raise InputError(f"{path.name}: this is not an image that can be read{said}") from None
    except OSError as error:
        raise InputError(f"{path.name}: {reason(error)}") from None
    raise InputError(f"{path.name}: the image is damaged or cut off")


def _decode_ahead(paths: Sequence[Path]) -> Iterator[av.VideoFrame]:
    """Yield the pictures in order; as many as there are cores are decoded ahead."""
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers, thread_name_prefix="image-reader") as pool:
        waiting: deque[Future[av.VideoFrame]] = deque()
        try:
            for path in paths:
                waiting.append(pool.submit(decode_image, path))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _without_gap(pattern: NumberedName, numbered: dict[int, Path]) -> list[Path]:
    first, last = min(numbered), max(numbered)
    for number in range(first, last):
        if number not in numbered:
            raise InputError(f"{pattern.path(number).name} is missing; the sequence runs from {first} to {last}")
    return [numbered[number] for number in range(first, last + 1)]
