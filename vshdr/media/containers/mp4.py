"""MP4 and QuickTime headers: what they say about colour and light.

References: ISO/IEC 14496-12 (boxes, `colr`, `clli`, `mdcv`), QuickTime File Format (`nclc`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from vshdr.media.containers.video_header import Field, VideoHeader, field, read_bytes
from vshdr.media.metadata import ContentLight, MasteringDisplay

_VISUAL_SAMPLE_ENTRY = 78  # bytes of fields before the boxes inside a video sample entry
_LONGEST = 64  # bytes that are read of a box; those whose content matters here are shorter


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield boxes in a range of the file: type, start and end of the content."""
    while start + 8 <= end:
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        data = start + 8
        if size == 1:
            size, data = struct.unpack(">Q", file.read(8))[0], start + 16
        stop = end if size == 0 else start + size
        if not data <= stop <= end:
            return  # a zero terminator of QuickTime, or a file cut short
        yield kind, data, stop
        start = stop


def _inside(file: BinaryIO, start: int, end: int, *path: bytes) -> Iterator[tuple[int, int]]:
    """Yield the contents of all boxes at `path` below a range."""
    if not path:
        yield start, end
        return
    for kind, data, stop in _boxes(file, start, end):
        if kind == path[0]:
            yield from _inside(file, data, stop, *path[1:])


def read_mp4(file: BinaryIO, end: int) -> VideoHeader:
    """Return the header of the first video track of an MP4 or QuickTime file of `end` bytes."""
    for track in _inside(file, 0, end, b"moov", b"trak"):
        kinds = [read_bytes(file, start + 8, start + 12) for start, _ in _inside(file, *track, b"mdia", b"hdlr")]
        if kinds == [b"vide"]:
            for start, stop in _inside(file, *track, b"mdia", b"minf", b"stbl", b"stsd"):
                for _, entry, entry_end in _boxes(file, start + 8, stop):  # after version, flags and count
                    return _sample_entry(file, entry + _VISUAL_SAMPLE_ENTRY, entry_end)
    return VideoHeader()


def _sample_entry(file: BinaryIO, start: int, end: int) -> VideoHeader:
    fields: dict = {}
    for kind, data, stop in _boxes(file, start, end):
        content = read_bytes(file, data, min(stop, data + _LONGEST))
        if kind == b"colr" and content[:4] in (b"nclx", b"nclc"):
            fields["primaries"], fields["transfer"], fields["matrix"] = struct.unpack_from(">3H", content, 4)
            if content[:4] == b"nclx":
                fields["full_range"] = content[10] >> 7 == 1
        elif kind == b"mdcv":
            values = struct.unpack(">8H2I", content)
            green, blue, red, white = (tuple(v / 50000 for v in values[i : i + 2]) for i in (0, 2, 4, 6))
            fields["mastering"] = MasteringDisplay(
                primaries=(red, green, blue),
                white_point=white,
                max_luminance=values[8] / 10000,
                min_luminance=values[9] / 10000,
            )
        elif kind == b"clli":
            max_cll, max_fall = struct.unpack(">2H", content)
            fields["light"] = ContentLight(max_cll=max_cll, max_fall=max_fall)
            fields["light_fields"] = Field(offset=data, size=2), Field(offset=data + 2, size=2)
        elif kind in (b"hvcC", b"av1C"):
            fields["configuration"] = field(data, stop)
    return VideoHeader(**fields)
