"""The header of a video file, whatever its container.

PyAV does not show these fields as they stand in the file, so they are read from it byte by byte.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from vshdr.errors import InputError
from vshdr.media.containers.ebml import MAGIC
from vshdr.media.containers.header import VideoHeader
from vshdr.media.containers.matroska import read_matroska
from vshdr.media.containers.mp4 import read_mp4


def read_header(path: str | os.PathLike[str]) -> VideoHeader | None:
    """Return the header of the first video track of a Matroska, WebM, MP4 or QuickTime file; None for others.

    Raise OSError if the file cannot be read, InputError if its structure is broken.
    """
    with Path(path).open("rb") as file:
        magic = file.read(12)
        end = file.seek(0, os.SEEK_END)
        try:
            if magic.startswith(MAGIC):
                return read_matroska(file, end)
            if magic[4:8] in (b"ftyp", b"moov", b"wide", b"mdat", b"free"):
                return read_mp4(file, end)
        except (InputError, struct.error, IndexError) as error:
            raise InputError(f"{path}: the container's header is broken ({error})") from error
    return None
