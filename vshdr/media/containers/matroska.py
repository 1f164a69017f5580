"""Matroska headers: what they say about colour and light, and what PyAV cannot tell FFmpeg's muxers.

`template` carries HDR metadata into any muxer: a Matroska header whose stream, once FFmpeg has read it, holds
all that FFmpeg needs to write the native fields of Matroska, MP4 and QuickTime. `set_display_size` adds the
shape of the samples.

Reference: RFC 9559 (Matroska), RFC 8794 (EBML).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from vshdr.errors import VerificationError
from vshdr.media.containers.video_header import VideoHeader, field, patch, read_bytes
from vshdr.media.metadata import BT2020_NCL, BT2020_PRIMARIES, ContentLight, MasteringDisplay

MAGIC = b"\x1a\x45\xdf\xa3"
_SEGMENT, _TRACKS, _TRACK, _CLUSTER = 0x18538067, 0x1654AE6B, 0xAE, 0x1F43B675
_TRACK_TYPE, _CODEC_PRIVATE, _VIDEO, _COLOUR, _MASTERING = 0x83, 0x63A2, 0xE0, 0x55B0, 0x55D0
_MATRIX, _SITING_X, _SITING_Y, _RANGE, _TRANSFER, _PRIMARIES = 0x55B1, 0x55B7, 0x55B8, 0x55B9, 0x55BA, 0x55BB
_MAX_CLL, _MAX_FALL = 0x55BC, 0x55BD
_PRIMARY_IDS = range(0x55D1, 0x55D7)  # red x, red y, green x, ...
_NAME, _VOID, _DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = 0x536E, 0xEC, 0x54B0, 0x54BA, 0x54B2
_WHITE_X, _WHITE_Y, _LUMINANCE_MAX, _LUMINANCE_MIN = 0x55D7, 0x55D8, 0x55D9, 0x55DA
_MASTERING_IDS = (*_PRIMARY_IDS, _WHITE_X, _WHITE_Y, _LUMINANCE_MAX, _LUMINANCE_MIN)
_CODEC_IDS = {"x265": b"V_MPEGH/ISO/HEVC", "svtav1": b"V_AV1", "prores": b"V_PRORES", "ffv1": b"V_FFV1"}


def template(
    codec: str,
    *,
    width: int,
    height: int,
    transfer: int,
    top_left: bool,
    mastering: MasteringDisplay | None,
    light: ContentLight | None,
) -> bytes:
    """Return a Matroska file of one `codec` video track without frames, BT.2020 limited range, with HDR metadata.

    FFmpeg reads the Colour element into stream side data, which PyAV cannot set but copies from a template
    stream.
    """
    colour = [
        _uint(_MATRIX, BT2020_NCL),
        _uint(_RANGE, 1),
        _uint(_TRANSFER, transfer),
        _uint(_PRIMARIES, BT2020_PRIMARIES),
    ]
    if top_left:
        colour += [_uint(_SITING_X, 1), _uint(_SITING_Y, 1)]
    if light:
        colour += [_uint(_MAX_CLL, light.max_cll), _uint(_MAX_FALL, light.max_fall)]
    if mastering:
        values = [*sum(mastering.primaries, ()), *mastering.white_point]
        values += [mastering.max_luminance, mastering.min_luminance]
        reals = [_element(i, struct.pack(">d", v)) for i, v in zip(_MASTERING_IDS, values, strict=True)]
        colour.append(_element(_MASTERING, *reals))
    video = _element(_VIDEO, _uint(0xB0, width), _uint(0xBA, height), _element(_COLOUR, *colour))
    # ProRes is recognised by its four-character code; the others get their configuration from the encoder.
    private = _element(_CODEC_PRIVATE, b"apch") if codec == "prores" else b""
    track = _element(
        _TRACK,
        _uint(0xD7, 1),
        _uint(0x73C5, 1),
        _uint(_TRACK_TYPE, 1),
        _element(0x86, _CODEC_IDS[codec]),
        private,
        video,
    )
    head = _element(
        int.from_bytes(MAGIC, "big"),
        _element(0x4282, b"matroska"),
        _uint(0x4287, 4),
        _uint(0x4285, 2),
    )
    info, cluster = _element(0x1549A966, _uint(0x2AD7B1, 1000000)), _element(_CLUSTER, _uint(0xE7, 0))
    # The empty cluster is there because FFmpeg's demuxer ends the header where a cluster begins.
    return head + _element(_SEGMENT, info, _element(_TRACKS, track), cluster)


DISPLAY_SIZE_ROOM = " " * 48
"""Blanks after the title of a Matroska video track that `set_display_size` turns into elements."""


def set_display_size(path: str | os.PathLike[str], width: int, height: int) -> None:
    """Give the video track of a Matroska file the size in square samples that it is shown at.

    FFmpeg's muxer takes the sample aspect ratio from a field that PyAV cannot set, and says that it is
    unknown instead. The track therefore gets a title that ends in `DISPLAY_SIZE_ROOM`, which makes room here
    without moving anything behind the track. Raise VerificationError without room.
    """
    with Path(path).open("rb") as file:
        place = _video_track(file, file.seek(0, os.SEEK_END))
        children, found = [], set()
        for identity, start, stop in _elements(file, *place) if place else ():
            content = read_bytes(file, start, stop)
            found.add(identity)
            if identity == _NAME:
                content = content.rstrip(b" ")
            elif identity == _VIDEO:
                kept = [
                    _element(child, read_bytes(file, a, b))
                    for child, a, b in _elements(file, start, stop)
                    if child != _DISPLAY_UNIT
                ]
                content = b"".join((*kept, _uint(_DISPLAY_WIDTH, width), _uint(_DISPLAY_HEIGHT, height)))
            if content:
                children.append(_element(identity, content))
    room = place[1] - place[0] - sum(map(len, children)) - len(_element(_VOID)) if place else -1
    if room < 0 or not found >= {_NAME, _VIDEO}:
        raise VerificationError(f"{path}: the video track has no room for its display size")
    patch(path, [(place[0], b"".join(children) + _element(_VOID, bytes(room)))])


def _element(identity: int, *content: bytes) -> bytes:
    data = b"".join(content)
    length_size = len(data).bit_length() // 7 + 1  # seven bits a byte; all ones would mean an unknown size
    if len(data) == (1 << 7 * length_size) - 1:
        length_size += 1
    size = (len(data) | 1 << 7 * length_size).to_bytes(length_size, "big")
    return identity.to_bytes((identity.bit_length() + 7) // 8, "big") + size + data


def _uint(identity: int, value: int) -> bytes:
    return _element(identity, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def _elements(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield EBML elements in a range of the file: identity, start and end of the content."""
    while start < end:
        file.seek(start)
        head = file.read(12)
        id_size = 9 - head[0].bit_length()
        identity = int.from_bytes(head[:id_size], "big")
        length_size = 9 - head[id_size].bit_length()
        mask = (1 << 7 * length_size) - 1
        size = int.from_bytes(head[id_size : id_size + length_size], "big") & mask
        data = start + id_size + length_size
        start = end if size == mask else data + size  # all ones: unknown, as in a file that was cut short
        yield identity, data, min(start, end)


def read_matroska(file: BinaryIO, end: int) -> VideoHeader:
    """Return the header of the first video track of a Matroska or WebM file of `end` bytes."""
    place = _video_track(file, end)
    if place is None:
        return VideoHeader()
    return _track_header(file, {identity: (a, b) for identity, a, b in _elements(file, *place)})


def _video_track(file: BinaryIO, end: int) -> tuple[int, int] | None:
    """Return start and end of the content of the first video track's TrackEntry."""
    segment = _find(file, (0, end), _SEGMENT)
    tracks = segment and _find(file, segment, _TRACKS, before=_CLUSTER)
    for _, *entry in _elements(file, *tracks) if tracks else ():
        kind = _find(file, (entry[0], entry[1]), _TRACK_TYPE)
        if kind and read_bytes(file, *kind) == b"\1":
            return entry[0], entry[1]
    return None


def _find(file: BinaryIO, place: tuple[int, int], wanted: int, before: int | None = None) -> tuple[int, int] | None:
    """Return the content of the first element `wanted` in a place, unless an element `before` comes first."""
    for identity, start, end in _elements(file, *place):
        if identity == wanted:
            return start, end
        if identity == before:
            return None
    return None


def _track_header(file: BinaryIO, track: dict[int, tuple[int, int]]) -> VideoHeader:
    def inside(parent: dict[int, tuple[int, int]], identity: int) -> dict[int, tuple[int, int]]:
        if identity not in parent:
            return {}
        return {child: (a, b) for child, a, b in _elements(file, *parent[identity])}

    def number(parent: dict[int, tuple[int, int]], identity: int) -> int | None:
        return int.from_bytes(read_bytes(file, *parent[identity]), "big") if identity in parent else None

    def real(parent: dict[int, tuple[int, int]], identity: int) -> float:
        data = read_bytes(file, *parent[identity])
        return struct.unpack(">f" if len(data) == 4 else ">d", data)[0]

    colour = inside(inside(track, _VIDEO), _COLOUR)
    master = inside(colour, _MASTERING)
    mastering = light = None
    if master.keys() >= set(_MASTERING_IDS):
        xy = [real(master, identity) for identity in _PRIMARY_IDS]
        mastering = MasteringDisplay(
            primaries=((xy[0], xy[1]), (xy[2], xy[3]), (xy[4], xy[5])),
            white_point=(real(master, _WHITE_X), real(master, _WHITE_Y)),
            min_luminance=real(master, _LUMINANCE_MIN),
            max_luminance=real(master, _LUMINANCE_MAX),
        )
    if _MAX_CLL in colour and _MAX_FALL in colour:
        light = ContentLight(max_cll=number(colour, _MAX_CLL), max_fall=number(colour, _MAX_FALL))
    full = {1: False, 2: True}.get(number(colour, _RANGE))
    siting = number(colour, _SITING_X), number(colour, _SITING_Y)
    return VideoHeader(
        primaries=number(colour, _PRIMARIES),
        transfer=number(colour, _TRANSFER),
        matrix=number(colour, _MATRIX),
        full_range=full,
        siting=None if None in siting else siting,
        mastering=mastering,
        light=light,
        light_fields=(field(*colour[_MAX_CLL]), field(*colour[_MAX_FALL])) if light else None,
        configuration=field(*track[_CODEC_PRIVATE]) if _CODEC_PRIVATE in track else None,
    )
