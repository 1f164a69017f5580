"""Reading HDR metadata back from a finished file: what its container says, and what its bitstream says.

The two are looked at apart: the container byte by byte, the bitstream through a decoder that knows nothing of the
container.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

import av
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from vshdr.colour.h273 import ChromaLocation, ColourRange, Matrix
from vshdr.errors import InputError, reason
from vshdr.media.containers.detect import read_header
from vshdr.media.metadata import ContentLight, HDRDescription, MasteringDisplay
from vshdr.media.read.streams import first_video_stream


@dataclass(frozen=True, kw_only=True)
class HDRMetadata:
    """What a video file says about its picture, in both places."""

    codec: str
    """FFmpeg's name of the codec."""
    container: HDRDescription | None
    """What the header of a Matroska, MP4 or QuickTime file says; None for another container."""
    bitstream: HDRDescription
    """What the first keyframe says."""

    @property
    def transfer(self) -> int | None:
        """H.273 TransferCharacteristics as a player takes them: the bitstream's, else the container's."""
        return _first_said(self.bitstream.transfer, self.container and self.container.transfer)

    @property
    def mastering_display(self) -> MasteringDisplay | None:
        """The mastering display by the bitstream, else by the container."""
        return _first_said(self.bitstream.mastering, self.container and self.container.mastering)

    @property
    def content_light(self) -> ContentLight | None:
        """MaxCLL and MaxFALL by the bitstream, else by the container."""
        return _first_said(self.bitstream.light, self.container and self.container.light)


def _first_said[T](bitstream: T | None, container: T | None) -> T | None:
    return container if bitstream is None else bitstream


def read_hdr_metadata(path: str | os.PathLike[str]) -> HDRMetadata:
    """Return the HDR metadata of the first video stream of a file.

    Raise OSError if the file cannot be read, InputError if it has no video or a broken header.
    """
    header = read_header(path)
    try:
        with av.open(os.fspath(path)) as container:
            stream = first_video_stream(container)
            # PyAV's stub does not know that there is no context for a codec that FFmpeg has no decoder for.
            if stream is None or stream.codec_context is None:  # pyright: ignore[reportUnnecessaryComparison]
                raise InputError(f"{path} has no video stream that can be read")
            packet = next((packet for packet in container.demux(stream) if packet.size and packet.is_keyframe), None)
            if packet is None:
                raise InputError(f"{path} has no keyframe")
            return HDRMetadata(
                codec=stream.codec_context.codec.canonical_name,
                container=header,
                bitstream=describe_keyframe(stream, bytes(packet)),
            )
    except FFmpegError as error:
        raise InputError(f"{path}: this is not a video that can be read ({reason(error)})") from None


def describe_keyframe(stream: VideoStream, keyframe: bytes) -> HDRDescription:
    """Return what a keyframe says about the picture.

    It is decoded with nothing but the decoder configuration, so that what the container says does not count.
    """
    known = stream.codec_context
    decoder = VideoCodecContext.create(known.codec.name, "r")
    assert isinstance(decoder, VideoCodecContext)  # as the codec is that of a video stream
    decoder.extradata = known.extradata
    decoder.width, decoder.height = known.width, known.height
    decoder.thread_count = 1
    frames = decoder.decode(av.Packet(keyframe)) or decoder.decode(None)
    if not frames:
        return HDRDescription()
    frame = frames[0]

    def said(number: int) -> int | None:
        return None if number in (0, Matrix.UNSPECIFIED) else int(number)

    colour_range = ColourRange.from_ffmpeg(frame.color_range)
    mastering = frame.side_data.get("MASTERING_DISPLAY_METADATA")
    light = frame.side_data.get("CONTENT_LIGHT_LEVEL")
    return HDRDescription(
        primaries=said(frame.color_primaries),
        transfer=said(frame.color_trc),
        matrix=said(frame.colorspace),
        full_range=None if colour_range is None else colour_range == ColourRange.FULL,
        chroma_location=ChromaLocation.from_ffmpeg(frame.chroma_location),
        mastering=_mastering(bytes(mastering)) if mastering else None,
        light=_light(bytes(light)) if light else None,
    )


def _light(data: bytes) -> ContentLight:
    """Return what FFmpeg's AVContentLightMetadata holds: two unsigned numbers."""
    max_cll, max_fall = struct.unpack_from("=2I", data)
    return ContentLight(max_cll=max_cll, max_fall=max_fall)


def _mastering(data: bytes) -> MasteringDisplay:
    """Return what FFmpeg's AVMasteringDisplayMetadata holds: ten rationals, xy of R, G, B, white; two luminances."""
    numbers = struct.unpack_from("=20i", data)
    values = [top / (bottom or 1) for top, bottom in zip(numbers[::2], numbers[1::2], strict=True)]
    points = list(zip(values[0:8:2], values[1:8:2], strict=True))
    return MasteringDisplay(
        primaries=(points[0], points[1], points[2]),
        white_point=points[3],
        min_luminance=values[8],
        max_luminance=values[9],
    )
