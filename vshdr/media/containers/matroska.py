"""Matroska headers: what they say about colour and light, and what PyAV cannot tell FFmpeg's muxers.

`template` carries HDR metadata into any muxer: a Matroska header whose stream, once FFmpeg has read it, holds all that
FFmpeg needs to write the native fields of Matroska, MP4 and QuickTime. `set_display_size` adds the shape of the
samples.

Reference: RFC 9559 (Matroska).
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

from vshdr.colour.h273 import ChromaLocation, ColourRange, Matrix, Primaries, Transfer
from vshdr.errors import InputError, VerificationError
from vshdr.media.containers.ebml import MAGIC, element, elements, find, unsigned
from vshdr.media.containers.header import VideoHeader
from vshdr.media.containers.spans import Patch, Span, patch, read_span
from vshdr.media.metadata import ContentLight, MasteringDisplay

_SEGMENT, _TRACKS, _TRACK, _CLUSTER = 0x18538067, 0x1654AE6B, 0xAE, 0x1F43B675
_TRACK_TYPE, _CODEC_PRIVATE, _VIDEO, _COLOUR, _MASTERING = 0x83, 0x63A2, 0xE0, 0x55B0, 0x55D0
_MATRIX, _SITING_X, _SITING_Y, _RANGE, _TRANSFER, _PRIMARIES = 0x55B1, 0x55B7, 0x55B8, 0x55B9, 0x55BA, 0x55BB
_MAX_CLL, _MAX_FALL = 0x55BC, 0x55BD
_PRIMARY_IDS = range(0x55D1, 0x55D7)  # red x, red y, green x, ...
_NAME, _VOID, _DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = 0x536E, 0xEC, 0x54B0, 0x54BA, 0x54B2
_WHITE_X, _WHITE_Y, _LUMINANCE_MAX, _LUMINANCE_MIN = 0x55D7, 0x55D8, 0x55D9, 0x55DA
_MASTERING_IDS = (*_PRIMARY_IDS, _WHITE_X, _WHITE_Y, _LUMINANCE_MAX, _LUMINANCE_MIN)
_CODEC_IDS = {"x265": b"V_MPEGH/ISO/HEVC", "svtav1": b"V_AV1", "prores": b"V_PRORES", "ffv1": b"V_FFV1"}

# ChromaSitingHorz and ChromaSitingVert: 1 is on the first luma sample, 2 half way to the next one.
_SITINGS = {
    ChromaLocation.LEFT: (1, 2),
    ChromaLocation.CENTER: (2, 2),
    ChromaLocation.TOP_LEFT: (1, 1),
    ChromaLocation.TOP: (2, 1),
}


def template(
    codec: str,
    *,
    width: int,
    height: int,
    transfer: Transfer,
    chroma_location: ChromaLocation | None,
    mastering: MasteringDisplay | None,
    light: ContentLight | None,
) -> bytes:
    """Return a Matroska file of one `codec` video track without frames: BT.2020, limited range, with HDR metadata.

    FFmpeg reads the Colour element into stream side data, which PyAV cannot set but copies from a template stream.
    """
    colour = [
        unsigned(_MATRIX, Matrix.BT2020_NCL),
        unsigned(_RANGE, ColourRange.LIMITED.ffmpeg),
        unsigned(_TRANSFER, transfer),
        unsigned(_PRIMARIES, Primaries.BT2020),
    ]
    if chroma_location is not None:
        across, down = _SITINGS[chroma_location]
        colour += [unsigned(_SITING_X, across), unsigned(_SITING_Y, down)]
    if light:
        colour += [unsigned(_MAX_CLL, light.max_cll), unsigned(_MAX_FALL, light.max_fall)]
    if mastering:
        values = [value for point in (*mastering.primaries, mastering.white_point) for value in point]
        values += [mastering.max_luminance, mastering.min_luminance]
        reals = [element(i, struct.pack(">d", v)) for i, v in zip(_MASTERING_IDS, values, strict=True)]
        colour.append(element(_MASTERING, *reals))
    video = element(_VIDEO, unsigned(0xB0, width), unsigned(0xBA, height), element(_COLOUR, *colour))
    # ProRes is recognised by its four-character code; the others get their configuration from the encoder.
    private = element(_CODEC_PRIVATE, b"apch") if codec == "prores" else b""
    track = element(
        _TRACK,
        unsigned(0xD7, 1),  # TrackNumber
        unsigned(0x73C5, 1),  # TrackUID
        unsigned(_TRACK_TYPE, 1),
        element(0x86, _CODEC_IDS[codec]),  # CodecID
        private,
        video,
    )
    head = element(
        int.from_bytes(MAGIC, "big"),
        element(0x4282, b"matroska"),  # DocType
        unsigned(0x4287, 4),  # DocTypeVersion
        unsigned(0x4285, 2),  # DocTypeReadVersion
    )
    info = element(0x1549A966, unsigned(0x2AD7B1, 1000000))  # Info with TimestampScale: milliseconds
    cluster = element(_CLUSTER, unsigned(0xE7, 0))  # FFmpeg's demuxer ends the header where a cluster begins
    return head + element(_SEGMENT, info, element(_TRACKS, track), cluster)


DISPLAY_SIZE_ROOM = " " * 48
"""Blanks after the title of a Matroska video track that `set_display_size` turns into elements."""


def set_display_size(path: str | os.PathLike[str], width: int, height: int) -> None:
    """Give the video track of a Matroska file the size in square samples that it is shown at.

    FFmpeg's muxer takes the sample aspect ratio from a field that PyAV cannot set, and says that it is unknown instead.
    The track therefore gets a title that ends in `DISPLAY_SIZE_ROOM`, which makes room here without moving anything
    behind the track. Raise VerificationError without room.
    """
    no_room = VerificationError(f"{path}: the video track has no room for its display size")
    with Path(path).open("rb") as file:
        track = _video_track(file, file.seek(0, os.SEEK_END))
        if track is None:
            raise no_room
        children, found = [], set()
        for identity, span in elements(file, track):
            content = read_span(file, span)
            found.add(identity)
            if identity == _NAME:
                content = content.rstrip(b" ")
            elif identity == _VIDEO:
                kept = [
                    element(child, read_span(file, inner))
                    for child, inner in elements(file, span)
                    if child != _DISPLAY_UNIT
                ]
                content = b"".join((*kept, unsigned(_DISPLAY_WIDTH, width), unsigned(_DISPLAY_HEIGHT, height)))
            if content:
                children.append(element(identity, content))
    room = track.size - sum(map(len, children)) - len(element(_VOID))
    if room < 0 or not found >= {_NAME, _VIDEO}:
        raise no_room
    patch(path, [Patch(track.start, b"".join(children) + element(_VOID, bytes(room)))])


def read_matroska(file: BinaryIO, end: int) -> VideoHeader:
    """Return the header of the first video track of a Matroska or WebM file of `end` bytes."""
    track = _video_track(file, end)
    return VideoHeader() if track is None else _track_header(file, _children(file, track))


def _video_track(file: BinaryIO, end: int) -> Span | None:
    """Return the content of the first video track's TrackEntry."""
    segment = find(file, Span(0, end), _SEGMENT)
    tracks = segment and find(file, segment, _TRACKS, before=_CLUSTER)
    for identity, track in elements(file, tracks) if tracks else ():
        kind = find(file, track, _TRACK_TYPE) if identity == _TRACK else None
        if kind and _read_unsigned(file, kind) == 1:
            return track
    return None


def _children(file: BinaryIO, parent: Span | None) -> dict[int, Span]:
    return dict(elements(file, parent)) if parent else {}


def _read_unsigned(file: BinaryIO, span: Span) -> int:
    """Return the content of an unsigned integer. Raise InputError for more than the eight bytes that one may have."""
    if span.size > 8:
        raise InputError(f"the integer at byte {span.start} has {span.size} bytes")
    return int.from_bytes(read_span(file, span), "big")


def _read_float(file: BinaryIO, span: Span) -> float:
    """Return the content of a float. Raise InputError where it has not the four or eight bytes of one."""
    if span.size not in (4, 8):
        raise InputError(f"the float at byte {span.start} has {span.size} bytes")
    return struct.unpack(">f" if span.size == 4 else ">d", read_span(file, span))[0]


def _track_header(file: BinaryIO, track: dict[int, Span]) -> VideoHeader:
    colour = _children(file, _children(file, track.get(_VIDEO)).get(_COLOUR))

    def number(identity: int) -> int | None:
        return _read_unsigned(file, colour[identity]) if identity in colour else None

    max_cll, max_fall = number(_MAX_CLL), number(_MAX_FALL)
    light = light_fields = None
    if max_cll is not None and max_fall is not None:
        light = ContentLight(max_cll=max_cll, max_fall=max_fall)
        light_fields = colour[_MAX_CLL], colour[_MAX_FALL]
    colour_range = ColourRange.from_ffmpeg(number(_RANGE) or 0)
    siting = number(_SITING_X), number(_SITING_Y)
    return VideoHeader(
        primaries=number(_PRIMARIES),
        transfer=number(_TRANSFER),
        matrix=number(_MATRIX),
        full_range=None if colour_range is None else colour_range == ColourRange.FULL,
        chroma_location=next((location for location, known in _SITINGS.items() if known == siting), None),
        mastering=_mastering(file, _children(file, colour.get(_MASTERING))),
        light=light,
        light_fields=light_fields,
        configuration=track.get(_CODEC_PRIVATE),
    )


def _mastering(file: BinaryIO, fields: dict[int, Span]) -> MasteringDisplay | None:
    """Return the mastering display if all its fields are there."""
    if not fields.keys() >= set(_MASTERING_IDS):
        return None

    def real(identity: int) -> float:
        return _read_float(file, fields[identity])

    red_x, red_y, green_x, green_y, blue_x, blue_y = map(real, _PRIMARY_IDS)
    return MasteringDisplay(
        primaries=((red_x, red_y), (green_x, green_y), (blue_x, blue_y)),
        white_point=(real(_WHITE_X), real(_WHITE_Y)),
        min_luminance=real(_LUMINANCE_MIN),
        max_luminance=real(_LUMINANCE_MAX),
    )
