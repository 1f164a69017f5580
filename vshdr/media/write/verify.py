"""The check that a written file is what was meant: frames, timestamps, metadata of container and bitstream."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from enum import IntEnum
from fractions import Fraction
from pathlib import Path

import av
from av.packet import Packet
from av.video.stream import VideoStream

from vshdr.colour.h273 import HDR_TRANSFERS, Matrix, Primaries
from vshdr.errors import VerificationError
from vshdr.media.containers.bitstream import configuration_patches, content_light_patches, hvcc_length_size
from vshdr.media.containers.detect import read_header
from vshdr.media.containers.header import VideoHeader
from vshdr.media.containers.spans import Patch, read_span
from vshdr.media.metadata import ContentLight, HDRDescription, MasteringDisplay, mastering_display
from vshdr.media.read.hdr_metadata import describe_keyframe
from vshdr.media.read.streams import first_video_stream, fraction
from vshdr.media.write.encoders import VideoSettings


def verify(
    path: str | os.PathLike[str],
    settings: VideoSettings,
    timestamps: Sequence[int],
    light: ContentLight | None,
    earliest: Fraction,
) -> None:
    """Check a finished file against what was meant: frames, timestamps, metadata of container and bitstream.

    `timestamps` are those of all frames in ticks of `settings.time_base`. `light` is None for HLG. `earliest` is the
    time of the first packet of any stream in seconds; where it is negative, containers without negative time may move
    all streams by as much. Raise VerificationError that names what was expected and what was found.
    """
    header = read_header(path)
    if header is None:
        raise VerificationError(f"{path}: the written file is not recognised as Matroska or MP4")
    with av.open(os.fspath(path)) as container:
        stream = first_video_stream(container)
        if stream is None:
            raise VerificationError(f"{path}: expected a video stream, found none")
        check_light = _light_checker(path, header, stream.codec_context.codec.canonical_name, light)
        found, first, last = array("q"), None, None
        for packet in container.demux(stream):
            if packet.size:
                if packet.pts is None:
                    raise VerificationError(f"{path}: frame {len(found)} has no timestamp")
                found.append(packet.pts)
                check_light(packet)
                if packet.is_keyframe:
                    last = packet
                    first = first or packet
        if first is None or last is None:
            raise VerificationError(f"{path}: expected {len(timestamps)} frames, found no keyframe")
        _check_aspect(path, stream, settings)
        _check_timestamps(path, sorted(found), fraction(stream.time_base), timestamps, settings.time_base, earliest)
        expected = _expected(settings, light)
        _check_description(
            f"{path}: the container",
            _in_container(expected, Path(path).suffix.lower()),
            header,
        )
        for name, packet in (("first", first), ("last", last)):
            _check_description(
                f"{path}: the {name} keyframe",
                _in_bitstream(expected, settings.codec),
                describe_keyframe(stream, bytes(packet)),
            )


def _check_timestamps(
    path: str | os.PathLike[str],
    found: list[int],
    tick: Fraction,
    expected: Sequence[int],
    time_base: Fraction,
    earliest: Fraction,
) -> None:
    if len(found) != len(expected):
        raise VerificationError(f"{path}: expected {len(expected)} frames, found {len(found)}")
    shift = Fraction(0)
    if earliest < 0:
        shift = min(max(found[0] * tick - expected[0] * time_base, Fraction(0)), -earliest + tick)
    for number, (pts, meant) in enumerate(zip(found, expected, strict=True)):
        if abs(pts * tick - meant * time_base - shift) > tick:
            raise VerificationError(
                f"{path}: expected frame {number} at {float(meant * time_base + shift):.6f} s, "
                f"found it at {float(pts * tick):.6f} s"
            )


def _light_checker(
    path: str | os.PathLike[str], header: VideoHeader, codec: str, light: ContentLight | None
) -> Callable[[Packet[VideoStream]], None]:
    """Check the decoder configuration; return a check that a packet has no light levels but `light`."""
    if light is None or header.configuration is None:
        return lambda packet: None
    with Path(path).open("rb") as file:
        configuration = read_span(file, header.configuration)
    length_size = hvcc_length_size(configuration) if codec == "hevc" else 4

    def check(where: str, data: bytes, patches: Iterable[Patch]) -> None:
        for start, meant in patches:
            if data[start : start + len(meant)] != meant:
                raise VerificationError(
                    f"{path}: {where} has another light level than {light.max_cll},{light.max_fall}"
                )

    def check_packet(packet: Packet[VideoStream]) -> None:
        data = bytes(packet)
        check(f"the frame at {packet.pts}", data, content_light_patches(data, codec, light, length_size))

    check("the decoder configuration", configuration, configuration_patches(configuration, codec, light))
    return check_packet


def _check_aspect(path: str | os.PathLike[str], stream: VideoStream, settings: VideoSettings) -> None:
    # A container may hold the display size in whole samples only. An aspect ratio of 0 is unknown, which means square.
    found, expected = stream.sample_aspect_ratio or 1, settings.sample_aspect_ratio
    if abs(float(found) / float(expected) - 1) > 1 / settings.width:
        raise VerificationError(f"{path}: expected a sample aspect ratio of {expected}, found {found}")


def _expected(settings: VideoSettings, light: ContentLight | None) -> HDRDescription:
    return HDRDescription(
        primaries=Primaries.BT2020,
        transfer=HDR_TRANSFERS[settings.transfer],
        matrix=Matrix.BT2020_NCL,
        full_range=False,
        chroma_location=settings.chroma_location,
        mastering=mastering_display(settings.peak) if settings.transfer == "pq" else None,
        light=light,
    )


def _in_container(expected: HDRDescription, suffix: str) -> HDRDescription:
    """Return what a container can say of it: MP4 and QuickTime have no field for siting, QuickTime none for range."""
    return _without(expected, chroma_location=suffix != ".mkv", full_range=suffix == ".mov")


def _in_bitstream(expected: HDRDescription, codec: str) -> HDRDescription:
    """Return what a bitstream can say of it: all, but ProRes has the colour space only and FFV1 nothing."""
    if codec == "ffv1":
        return HDRDescription()
    if codec == "prores":
        return _without(expected, full_range=True, chroma_location=True, mastering=True, light=True)
    return expected


def _without(description: HDRDescription, **drop: bool) -> HDRDescription:
    return HDRDescription(**{f.name: getattr(description, f.name) for f in fields(description) if not drop.get(f.name)})


def _check_description(where: str, expected: HDRDescription, found: HDRDescription) -> None:
    for name in (f.name for f in fields(HDRDescription)):
        meant, is_there = getattr(expected, name), getattr(found, name)
        agrees = meant.agrees_with(is_there) if isinstance(meant, MasteringDisplay) else meant == is_there
        if meant is not None and not agrees:
            raise VerificationError(f"{where} has the wrong {name}: expected {_named(meant)}, found {_named(is_there)}")


def _named(value: object) -> str:
    return f"{value.name} ({value:d})" if isinstance(value, IntEnum) else str(value)
