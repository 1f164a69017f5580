"""How long a video file should be by its container: a file that was cut off is found out before any frame is read."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from vshdr.media.containers.ebml import MAGIC

_SEGMENT_MAGIC = b"\x18\x53\x80\x67"


def promised_size(path: Path) -> int | None:
    """Return how many bytes the container of `path` says the file has at least; None for containers that do not say.

    Known are Matroska and WebM (RFC 9559, the size of the segment), MP4 and MOV (ISO/IEC 14496-12, the top-level boxes)
    and AVI (the RIFF chunk). A file that was cut off while it was copied is shorter. Raise OSError if it cannot be
    read.
    """
    with path.open("rb") as file:
        head = file.read(16)
        if head[:4] == MAGIC:
            return _matroska(file, path.stat().st_size)
        if head[:4] == b"RIFF":
            return 8 + int.from_bytes(head[4:8], "little")
        if head[4:8] == b"ftyp":
            return _boxes(file, path.stat().st_size)
    return None


def _matroska(file: BinaryIO, file_size: int) -> int | None:
    """Return where the segment ends, which follows the EBML header; where that ends, if the file is not so long."""
    file.seek(4)
    header = _ebml_size(file)
    if header is None:
        return None
    segment = file.tell() + header
    if segment > file_size:
        return segment
    file.seek(segment)
    if file.read(4) != _SEGMENT_MAGIC:
        return None
    size = _ebml_size(file)
    return None if size is None else file.tell() + size


def _ebml_size(file: BinaryIO) -> int | None:
    """Return a variable-length size (RFC 8794, section 4); None where it is unknown, as in a live recording."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    length = 9 - first[0].bit_length()
    value = int.from_bytes(first + file.read(length - 1), "big") & ((1 << 7 * length) - 1)
    return None if value == (1 << 7 * length) - 1 else value


def _boxes(file: BinaryIO, file_size: int) -> int:
    """Return where the last top-level box ends."""
    position = 0
    while position + 8 <= file_size:
        file.seek(position)
        size, kind = struct.unpack(">I4s", file.read(8))
        if size == 1:
            size = int.from_bytes(file.read(8), "big")
        # A size of 0 reaches to the end of the file. Whatever else is no box was appended to the file.
        if size < 8 or not kind.isascii():
            return file_size
        position += size
    return position
