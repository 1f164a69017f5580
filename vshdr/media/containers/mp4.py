"""MP4 and QuickTime headers: what they say about colour and light.

References: ISO/IEC 14496-12 (boxes, `colr`, `clli`, `mdcv`), QuickTime File Format (`nclc`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from vshdr.media.containers.header import VideoHeader
from vshdr.media.containers.spans import Span, read_span
from vshdr.media.metadata import ContentLight, MasteringDisplay

_VISUAL_SAMPLE_ENTRY = 78  # bytes of fields before the boxes inside a video sample entry
_LONGEST = 64  # bytes that are read of a box; those whose content matters here are shorter


def read_mp4(file: BinaryIO, end: int) -> VideoHeader:
    """Return the header of the first video track of an MP4 or QuickTime file of `end` bytes."""
    for track in _inside(file, Span(0, end), b"moov", b"trak"):
        kinds = [
            read_span(file, Span(handler.start + 8, handler.start + 12))
            for handler in _inside(file, track, b"mdia", b"hdlr")
        ]
        if kinds == [b"vide"]:
            for entries in _inside(file, track, b"mdia", b"minf", b"stbl", b"stsd"):
                # Version, flags and a count come before the entries.
                for _, entry in _boxes(file, Span(entries.start + 8, entries.end)):
                    return _sample_entry(file, Span(entry.start + _VISUAL_SAMPLE_ENTRY, entry.end))
    return VideoHeader()


def _boxes(file: BinaryIO, span: Span) -> Iterator[tuple[bytes, Span]]:
    """Yield type and content of the boxes that lie side by side in a span of the file."""
    start, end = span
    while start + 8 <= end:
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        data = start + 8
        if size == 1:
            size, data = struct.unpack(">Q", file.read(8))[0], start + 16
        stop = end if size == 0 else start + size
        if not data <= stop <= end:
            return  # a zero terminator of QuickTime, or a file cut short
        yield kind, Span(data, stop)
        start = stop


def _inside(file: BinaryIO, span: Span, *path: bytes) -> Iterator[Span]:
    """Yield the contents of all boxes at `path` below a span."""
    if not path:
        yield span
        return
    for kind, content in _boxes(file, span):
        if kind == path[0]:
            yield from _inside(file, content, *path[1:])


def _sample_entry(file: BinaryIO, span: Span) -> VideoHeader:
    header = VideoHeader()
    for kind, place in _boxes(file, span):
        content = read_span(file, Span(place.start, min(place.end, place.start + _LONGEST)))
        if kind == b"colr" and content[:4] in (b"nclx", b"nclc"):
            primaries, transfer, matrix = struct.unpack_from(">3H", content, 4)
            header = replace(header, primaries=primaries, transfer=transfer, matrix=matrix)
            if content[:4] == b"nclx":
                header = replace(header, full_range=content[10] >> 7 == 1)
        elif kind == b"mdcv":
            header = replace(header, mastering=_mastering(content))
        elif kind == b"clli":
            max_cll, max_fall = struct.unpack(">2H", content)
            fields = Span(place.start, place.start + 2), Span(place.start + 2, place.start + 4)
            header = replace(header, light=ContentLight(max_cll=max_cll, max_fall=max_fall), light_fields=fields)
        elif kind in (b"hvcC", b"av1C"):
            header = replace(header, configuration=place)
    return header


def _mastering(content: bytes) -> MasteringDisplay:
    """Return the mastering display of an `mdcv` box: green, blue, red, white in 0.00002, luminances in 0.0001 nits."""
    *points, max_luminance, min_luminance = struct.unpack(">8H2I", content)
    green, blue, red, white = ((points[i] / 50000, points[i + 1] / 50000) for i in (0, 2, 4, 6))
    return MasteringDisplay(
        primaries=(red, green, blue),
        white_point=white,
        max_luminance=max_luminance / 10000,
        min_luminance=min_luminance / 10000,
    )
