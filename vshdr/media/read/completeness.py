"""Is a video file all there? Its container says how long it should be: cheaper to check now than to find out at the
end.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_EBML_MAGIC = b"\x1a\x45\xdf\xa3"
_SEGMENT_MAGIC = b"\x18\x53\x80\x67"


def promised_size(path: Path) -> int | None:
    """Return bytes that the container of `path` says the file has, at least; None for containers that do not say.

    Known are Matroska and WebM (RFC 9559, the size of the segment), MP4 and MOV (ISO/IEC 14496-12, the top-level boxes)
    and AVI (the RIFF chunk). A file that was cut off while it was copied is shorter.
    """
    with path.open("rb") as file:
        head = file.read(16)
        if head[:4] == _EBML_MAGIC:
            return _matroska(file, path.stat().st_size)
        if head[:4] == b"RIFF":
            return 8 + int.from_bytes(head[4:8], "little")
        if head[4:8] == b"ftyp":
            return _boxes(file, path.stat().st_size)
    return None


def _matroska(file: BinaryIO, file_size: int) -> int | None:
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
    position = 0
    while position + 8 <= file_size:
        file.seek(position)
        size, kind = struct.unpack(">I4s", file.read(8))
        if size == 1:
            size = int.from_bytes(file.read(8), "big")
        if size < 8 or not kind.isascii():  # 0: to the end of the file; others are no box but something appended
            return file_size
        position += size
    return position
