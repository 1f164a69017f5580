"""Reading HDR metadata back, and the check that a written file is what was meant.

Container and bitstream are looked at apart: the container byte by byte, the bitstream through a decoder that
knows nothing of the container.
"""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path

import av

from vshdr.errors import InputError, VerificationError, reason
from vshdr.media.containers.bitstream import Patches, configuration_patches, content_light_patches, hvcc_length_size
from vshdr.media.containers.detect import read_header
from vshdr.media.containers.video_header import VideoHeader
from vshdr.media.metadata import (
    BT2020_NCL,
    BT2020_PRIMARIES,
    TRANSFER_NUMBERS,
    ContentLight,
    MasteringDisplay,
    mastering_display,
)
from vshdr.media.write.encoders import LIMITED_RANGE, VideoSettings
from vshdr.media.write.passthrough import main_video

_UNSPECIFIED = 2  # of H.273
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
# AVChromaLocation, from 1.
_CHROMA_LOCATIONS = dict(enumerate(("left", "center", "topleft", "top", "bottomleft", "bottom"), start=1))
_MATROSKA_SITING = {(1, 1): "topleft", (1, 2): "left", (2, 2): "center", (2, 1): "top"}


@dataclass(frozen=True, kw_only=True)
class HDRDescription:
    """What one place says about the picture. None where it says nothing."""

    primaries: int | None = None
    """H.273 ColourPrimaries; 9 is BT.2020."""
    transfer: int | None = None
    """H.273 TransferCharacteristics; 16 is PQ, 18 is HLG."""
    matrix: int | None = None
    """H.273 MatrixCoefficients; 9 is BT.2020 non-constant luminance."""
    full_range: bool | None = None
    """True for full range, False for limited."""
    chroma_location: str | None = None
    """"topleft", "left", "center", "top", "bottomleft" or "bottom"."""
    mastering: MasteringDisplay | None = None
    """The mastering display."""
    light: ContentLight | None = None
    """MaxCLL and MaxFALL."""


@dataclass(frozen=True, kw_only=True)
class HDRMetadata:
    """What a video file says about its picture."""

    codec: str
    """FFmpeg's name of the codec."""
    container: HDRDescription | None
    """By the header of a Matroska or MP4 / QuickTime file; None for another container."""
    bitstream: HDRDescription
    """By the first keyframe."""

    @property
    def transfer(self) -> int | None:
        """H.273 TransferCharacteristics as a player takes them: the bitstream's, else the container's."""
        return self._either("transfer")

    @property
    def mastering_display(self) -> MasteringDisplay | None:
        """The mastering display by the bitstream, else by the container."""
        return self._either("mastering")

    @property
    def content_light(self) -> ContentLight | None:
        """MaxCLL and MaxFALL by the bitstream, else by the container."""
        return self._either("light")

    def _either(self, name: str):
        said = getattr(self.bitstream, name)
        return said if said is not None or self.container is None else getattr(self.container, name)


def read_hdr_metadata(path: str | os.PathLike[str]) -> HDRMetadata:
    """Return the HDR metadata of the first video stream of a file.

    Raise OSError if the file cannot be read, InputError if it has no video or a broken header.
    """
    header = read_header(path)
    try:
        container = av.open(os.fspath(path))
    except av.FFmpegError as error:
        raise InputError(f"{path}: this is not a video that can be read ({reason(error)})") from None
    with container:
        stream = main_video(container)
        if stream is None:
            raise InputError(f"{path} has no video stream")
        packet = next((packet for packet in container.demux(stream) if packet.size and packet.is_keyframe), None)
        if packet is None:
            raise InputError(f"{path} has no keyframe")
        return HDRMetadata(
            codec=stream.codec_context.codec.canonical_name,
            container=header and _container_view(header),
            bitstream=_bitstream_view(stream, bytes(packet)),
        )


def verify(
    path: str | os.PathLike[str],
    settings: VideoSettings,
    timestamps: Sequence[int],
    light: ContentLight | None,
    earliest: Fraction,
) -> None:
    """Check a finished file against what was meant: frames, timestamps, metadata of container and bitstream.

    `timestamps` are those of all frames in ticks of `settings.time_base`. `earliest` is the time of the first
    packet of any stream in seconds: where it is negative, containers without negative time may move all
    streams by as much. Raise VerificationError that names what was expected and what was found.
    """
    header = read_header(path)
    if header is None:
        raise VerificationError(f"{path}: the written file is not recognised as Matroska or MP4")
    with av.open(os.fspath(path)) as container:
        stream = main_video(container)
        check_light = _light_checker(path, header, stream.codec_context.codec.canonical_name, light)
        found, first, last = array("q"), None, None
        for packet in container.demux(stream):
            if packet.size:
                found.append(packet.pts)
                check_light(packet)
                if packet.is_keyframe:
                    last = packet
                    first = first or packet
        if first is None or last is None:
            raise VerificationError(f"{path}: expected {len(timestamps)} frames, found no keyframe")
        _check_aspect(path, stream, settings)
        tick = Fraction(stream.time_base.numerator, stream.time_base.denominator)
        _check_timestamps(path, sorted(found), tick, timestamps, settings.time_base, earliest)
        expected = _expected(settings, light)
        _check_description(
            f"{path}: the container",
            _in_container(expected, Path(path).suffix.lower()),
            _container_view(header),
        )
        for name, packet in (("first", first), ("last", last)):
            _check_description(
                f"{path}: the {name} keyframe",
                _in_bitstream(expected, settings.codec),
                _bitstream_view(stream, bytes(packet)),
            )


def _check_timestamps(
    path, found: list[int], tick: Fraction, expected: Sequence[int], time_base: Fraction, earliest: Fraction
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
) -> Callable[[av.Packet], None]:
    """Check the decoder configuration; return a check that a packet has no light levels but `light`."""
    length_size = 4
    if light is None or header.configuration is None:
        return lambda packet: None
    with Path(path).open("rb") as file:
        file.seek(header.configuration.offset)
        configuration = file.read(header.configuration.size)
    if codec == "hevc":
        length_size = hvcc_length_size(configuration)

    def check(where: str, data: bytes, patches: Patches) -> None:
        for start, meant in patches:
            if data[start : start + len(meant)] != meant:
                raise VerificationError(
                    f"{path}: {where} has another light level than {light.max_cll},{light.max_fall}"
                )

    def check_packet(packet: av.Packet) -> None:
        data = bytes(packet)
        check(f"the frame at {packet.pts}", data, content_light_patches(data, codec, light, length_size))

    check("the decoder configuration", configuration, configuration_patches(configuration, codec, light))
    return check_packet


def _check_aspect(path, stream: av.VideoStream, settings: VideoSettings) -> None:
    # A container may hold the size in whole samples. 0 is unknown, which means square.
    found, expected = stream.sample_aspect_ratio or 1, settings.sample_aspect_ratio
    if abs(float(found) / float(expected) - 1) > 1 / settings.width:
        raise VerificationError(f"{path}: expected a sample aspect ratio of {expected}, found {found}")


def _expected(settings: VideoSettings, light: ContentLight | None) -> HDRDescription:
    return HDRDescription(
        primaries=BT2020_PRIMARIES,
        transfer=TRANSFER_NUMBERS[settings.transfer],
        matrix=BT2020_NCL,
        full_range=False,
        chroma_location="topleft" if settings.format.startswith("yuv420") else None,
        mastering=mastering_display(settings.peak) if settings.transfer == "pq" else None,
        light=light,
    )


def _in_container(expected: HDRDescription, suffix: str) -> HDRDescription:
    """Return what is left of it where fields are missing: siting in MP4 and QuickTime, range in QuickTime."""
    return _without(expected, chroma_location=suffix != ".mkv", full_range=suffix == ".mov")


def _in_bitstream(expected: HDRDescription, codec: str) -> HDRDescription:
    """Return what is left of it in a bitstream: all, but ProRes says the colour space only and FFV1 nothing."""
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
            raise VerificationError(f"{where} has the wrong {name}: expected {meant}, found {is_there}")


def _container_view(header: VideoHeader) -> HDRDescription:
    return HDRDescription(
        primaries=header.primaries,
        transfer=header.transfer,
        matrix=header.matrix,
        full_range=header.full_range,
        chroma_location=_MATROSKA_SITING.get(header.siting),
        mastering=header.mastering,
        light=header.light,
    )


def _bitstream_view(stream: av.VideoStream, keyframe: bytes) -> HDRDescription:
    """Decode a keyframe with nothing but the decoder configuration, so that the container does not count."""
    known = stream.codec_context
    decoder = av.CodecContext.create(known.codec.name, "r")
    decoder.extradata = known.extradata
    decoder.width, decoder.height = known.width, known.height
    decoder.thread_count = 1
    frames = decoder.decode(av.Packet(keyframe)) or decoder.decode(None)
    if not frames:
        return HDRDescription()
    frame = frames[0]

    def said(number: int) -> int | None:
        return None if number in (0, _UNSPECIFIED) else int(number)

    mastering = frame.side_data.get("MASTERING_DISPLAY_METADATA")
    light = frame.side_data.get("CONTENT_LIGHT_LEVEL")
    return HDRDescription(
        primaries=said(frame.color_primaries),
        transfer=said(frame.color_trc),
        matrix=said(frame.colorspace),
        full_range={LIMITED_RANGE: False, _FULL_RANGE: True}.get(frame.color_range),
        chroma_location=_CHROMA_LOCATIONS.get(frame.chroma_location),
        mastering=_mastering(bytes(mastering)) if mastering else None,
        light=_light(bytes(light)) if light else None,
    )


def _light(data: bytes) -> ContentLight:
    """FFmpeg's AVContentLightMetadata: two unsigned numbers."""
    max_cll, max_fall = struct.unpack_from("=2I", data)
    return ContentLight(max_cll=max_cll, max_fall=max_fall)


def _mastering(data: bytes) -> MasteringDisplay:
    """FFmpeg's AVMasteringDisplayMetadata: ten rationals, xy of R, G, B and white, min and max luminance."""
    numbers = struct.unpack_from("=20i", data)
    values = [top / (bottom or 1) for top, bottom in zip(numbers[::2], numbers[1::2], strict=True)]
    points = list(zip(values[0:8:2], values[1:8:2], strict=True))
    return MasteringDisplay(
        primaries=(points[0], points[1], points[2]),
        white_point=points[3],
        min_luminance=values[8],
        max_luminance=values[9],
    )
