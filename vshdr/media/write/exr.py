"""Writing scene-linear EXR sequences: each frame complete or absent, compressed on all cores, with the attributes a
compositor needs.
"""

from __future__ import annotations

import json
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import OpenEXR
import torch
from numpy.typing import NDArray
from torch import Tensor

from vshdr.colour.h273 import Primaries
from vshdr.colour.primaries import chromaticities
from vshdr.errors import FileError, InputError
from vshdr.media.numbered_name import NumberedName
from vshdr.media.read.exr import read_channels
from vshdr.runtime.files import atomic_write

HALF_MAXIMUM = 65504.0
"""The largest finite number of 16-bit floats."""
PIXEL_TYPES = {"half": np.dtype(np.float16), "float": np.dtype(np.float32)}
"""Pixel types by the names of the options."""
COMPRESSIONS = {"none": OpenEXR.NO_COMPRESSION} | {
    name: getattr(OpenEXR, f"{name.upper()}_COMPRESSION")
    for name in ("rle", "zips", "zip", "piz", "pxr24", "dwaa", "dwab")
}
INTEROP_IDS = {Primaries.BT709: "lin_rec709_scene", Primaries.BT2020: "lin_rec2020_scene"}
"""The names of scene-linear colour spaces by the Color Interop Forum."""
SETTINGS_ATTRIBUTE = "vshdr:settings"
"""The attribute in which each frame keeps what it was made from, for `resume`."""


class ExrWriter:
    """Writes frames of linear light as numbered EXR files.

    `write` hands a frame to a pool of threads (OpenEXR compresses outside the GIL) and waits only when the pool is
    full, so memory is bounded by the number of threads. A frame is written to NAME.part beside its place and renamed
    when complete.
    """

    def __init__(
        self,
        pattern: str | Path,
        *,
        width: int,
        height: int,
        frame_rate: Fraction,
        start: int = 1001,
        pixel_type: str = "half",
        compression: str = "zip",
        dwa_level: float = 45.0,
        white: float = 203.0,
        primaries: Primaries = Primaries.BT709,
        settings: str = "",
        threads: int | None = None,
        resume: bool = False,
        overwrite: bool = False,
        sample_aspect_ratio: Fraction = Fraction(1),
        single: bool = False,
    ) -> None:
        """Prepare a sequence at `pattern` (`shot.####.exr` or `shot.%04d.exr`; with `single` a plain name will do).

        `start` is the number of the first frame. `white` is the nits of 1.0, `primaries` are BT.709 or BT.2020.
        `dwa_level` is the loss of dwaa and dwab (45 is visually lossless, more is smaller). `settings` is stored in
        every frame; `resume` keeps complete frames that were written with the same.

        Raise InputError for options that do not fit and for frames that are there already with neither `resume` nor
        `overwrite`, OSError where the folder cannot be made or written to.
        """
        self._pattern = Path(pattern)
        self._numbered = NumberedName.parse(self._pattern)
        if self._numbered is None and not single:
            raise InputError(
                f"{self._pattern.name}: a sequence needs a counter in its name, such as {self._pattern.stem}.####.exr"
            )
        if pixel_type not in PIXEL_TYPES:
            raise InputError(f"EXR pixel type '{pixel_type}' is not one of {', '.join(PIXEL_TYPES)}")
        if compression not in COMPRESSIONS:
            raise InputError(f"EXR compression '{compression}' is not one of {', '.join(COMPRESSIONS)}")
        if primaries not in INTEROP_IDS:
            raise InputError(f"EXR frames come in BT.709 (1) or BT.2020 (9) primaries, not {primaries}")
        if not os.access(self._pattern.parent, os.W_OK):
            raise FileError(f"{self._pattern.parent}: nothing can be written to this folder")
        self._size = (width, height)
        self._start = start
        self._frame_rate = Fraction(frame_rate)
        self._dtype = PIXEL_TYPES[pixel_type]
        self._settings = settings
        self._resume = resume
        self._header = {
            "type": OpenEXR.scanlineimage,
            "compression": COMPRESSIONS[compression],
            "chromaticities": tuple(xy for point in chromaticities(primaries) for xy in point),
            "whiteLuminance": float(white),
            "colorInteropID": INTEROP_IDS[primaries],
            "framesPerSecond": self._frame_rate,
            "pixelAspectRatio": float(sample_aspect_ratio),
            "software": "vshdr",
            SETTINGS_ATTRIBUTE: settings,
        } | ({"dwaCompressionLevel": float(dwa_level)} if compression in ("dwaa", "dwab") else {})
        if not (resume or overwrite):
            self._refuse_existing()
        self._threads = threads or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="exr-writer")
        self._waiting: deque[Future[None]] = deque()

    def path(self, index: int) -> Path:
        """Return the file of frame `index`, counted from 0."""
        return self._numbered.path(self._start + index) if self._numbered else self._pattern

    def write(self, index: int, rgb: NDArray[np.float32] | Tensor) -> None:
        """Take frame `index`, 3 x H x W, 1.0 = SDR white; it must not be changed afterwards.

        With half pixels, what is beyond 65504 is written as 65504. Raise OSError where this frame or one before it
        cannot be written, InputError for a frame of another size.
        """
        width, height = self._size
        if tuple(rgb.shape) != (3, height, width):
            raise InputError(f"frame {index} is {tuple(rgb.shape)}; this sequence takes 3 x {height} x {width}")
        self._waiting.append(self._pool.submit(self._write, index, torch.as_tensor(rgb)))
        while len(self._waiting) > self._threads + 1:
            self._waiting.popleft().result()

    def finish(self) -> None:
        """Wait until all frames are on disk. Raise OSError where one cannot be written."""
        try:
            while self._waiting:
                self._waiting.popleft().result()
        finally:
            self.close()

    def close(self) -> None:
        """End the pool: frames that are being written are completed, those that still wait are given up."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def done(self, index: int) -> bool:
        """Return whether `resume` may keep frame `index`: its file can be read and has this sequence's size and type.

        Raise InputError for a frame that was written with other settings.
        """
        path = self.path(index)
        if not self._resume or not path.exists():
            return False
        try:
            pixels, header = read_channels(path)
        except ValueError:
            return False
        if header.get(SETTINGS_ATTRIBUTE) != self._settings:
            raise InputError(
                f"{path.name} was written from another source or with other options"
                f"{_what_differs(header.get(SETTINGS_ATTRIBUTE), self._settings)}; resume needs the same, overwrite "
                "starts anew"
            )
        shape = self._size[::-1]
        return all(plane.shape == shape and plane.dtype == self._dtype for plane in pixels)

    def beyond(self, count: int) -> list[Path]:
        """Return files with this sequence's name from frame `count` on, which an earlier, longer run has left."""
        if self._numbered is None:
            return []
        return [path for number, path in sorted(self._numbered.files().items()) if number >= self._start + count]

    def _refuse_existing(self) -> None:
        if self._numbered is None:
            existing = [self._pattern] if self._pattern.exists() else []
        else:
            existing = [path for number, path in sorted(self._numbered.files().items()) if number >= self._start]
        if existing:
            raise InputError(f"{existing[0]} exists already; resume goes on with the sequence, overwrite replaces it")

    def _write(self, index: int, rgb: Tensor) -> None:
        if self._dtype == np.float16:
            rgb = rgb.clamp(-HALF_MAXIMUM, HALF_MAXIMUM).half()
        number = self._start + index
        header = self._header | {"imageCounter": number, "timeCode": time_code(index, self._frame_rate)}
        path = self.path(index)
        try:
            with atomic_write(path) as part, OpenEXR.File(header, dict(zip("RGB", rgb.numpy(), strict=True))) as file:
                file.write(str(part))
        except (RuntimeError, OSError) as error:
            said = error.strerror if isinstance(error, OSError) else str(error).rstrip(".").rpartition(". ")[2]
            raise FileError(f"{path}: the frame cannot be written: {said}") from None


def _what_differs(before: object, now: str) -> str:
    """Return the settings that differ, as in " (gamma was 1.0 and is 1.2)"; "" where they are not two JSON objects."""
    try:
        old, new = json.loads(str(before)), json.loads(now)
    except ValueError:
        return ""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return ""

    def shown(settings: dict[str, object], name: str) -> str:
        text = str(settings.get(name, "not told")) or "empty"
        return text if len(text) <= 24 else f"{text[:12]}..."  # a digest, whose first figures tell it from another

    names = sorted(name for name in old | new if old.get(name) != new.get(name))
    return f" ({', '.join(f'{name} was {shown(old, name)} and is {shown(new, name)}' for name in names)})"


def time_code(index: int, frame_rate: Fraction) -> OpenEXR.TimeCode:
    """Return the SMPTE ST 12-1 time code of frame `index`, non-drop, 00:00:00:00 for frame 0.

    Above 30 frames per second, two frames share a number and the field mark tells them apart (ST 12-1, 12.1).
    """
    base = max(1, round(frame_rate))
    seconds, frame = divmod(index, base)
    second_of_pair = 0
    if base > 30:
        frame, second_of_pair = divmod(frame, 2)
    flags = (0, 0, second_of_pair, 0, 0, 0)  # drop frame, colour frame, field mark, three binary group flags
    return OpenEXR.TimeCode(seconds // 3600 % 24, seconds // 60 % 60, seconds % 60, frame, *flags, *([0] * 8))
