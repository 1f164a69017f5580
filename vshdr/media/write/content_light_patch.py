"""Puts the measured light levels into a finished file, in place of the bounds that stood for them while it was written.

MaxCLL and MaxFALL are known when the last frame has been seen, but belong into the container's header and into a
message of the video before each keyframe. Every field has the length that it needs already, so nothing moves.
"""

from __future__ import annotations

import os
from pathlib import Path

import av
from av.error import FFmpegError

from vshdr.errors import VerificationError, reason
from vshdr.media.containers.bitstream import configuration_patches, content_light_patches, hvcc_length_size
from vshdr.media.containers.detect import read_header
from vshdr.media.containers.header import VideoHeader
from vshdr.media.containers.spans import Patch, Span, patch, read_span
from vshdr.media.metadata import ContentLight
from vshdr.media.read.streams import first_video_stream

_BLOCK_HEADER = 4  # Matroska: track number (one byte for a track below 127), time, flags


def patch_content_light(path: str | os.PathLike[str], light: ContentLight) -> None:
    """Replace every content light level of the first video stream of a .mkv, .mp4 or .mov file by `light`, in place.

    Raise VerificationError if the container has no such fields, they are too short, or a packet is not where it should
    be; InputError if the container's header is broken. The file is then as it was.
    """
    header = read_header(path)
    if header is None or header.light_fields is None:
        raise VerificationError(f"{path}: the container has no content light level to fill in")
    if min(field.size for field in header.light_fields) < 2:
        raise VerificationError(f"{path}: the container's content light level has no room for two bytes")
    patches = [
        Patch(field.start, value.to_bytes(field.size, "big"))
        for field, value in zip(header.light_fields, (light.max_cll, light.max_fall), strict=True)
    ]
    try:
        patches += _bitstream_patches(path, header, light)
    except FFmpegError as error:
        raise VerificationError(f"{path}: the finished file cannot be read ({reason(error)})") from error
    patch(path, patches)


def _bitstream_patches(path: str | os.PathLike[str], header: VideoHeader, light: ContentLight) -> list[Patch]:
    """Return the patches of the decoder configuration and of every packet, at their places in the file."""
    patches: list[Patch] = []
    block_header = _BLOCK_HEADER if Path(path).suffix.lower() == ".mkv" else 0
    with av.open(os.fspath(path)) as container, Path(path).open("rb") as file:
        stream = first_video_stream(container)
        # PyAV's stub does not know that there is no context for a codec that FFmpeg has no decoder for.
        if stream is None or stream.codec_context is None:  # pyright: ignore[reportUnnecessaryComparison]
            raise VerificationError(f"{path}: there is no video stream to fill content light levels into")
        codec, length_size = stream.codec_context.codec.canonical_name, 4
        if header.configuration is not None:
            configuration = read_span(file, header.configuration)
            patches += _moved(configuration_patches(configuration, codec, light), header.configuration.start)
            if codec == "hevc":
                length_size = hvcc_length_size(configuration)
        for packet in container.demux(stream):
            data = bytes(packet)
            if found := content_light_patches(data, codec, light, length_size):
                start = -1 if packet.pos is None else packet.pos + block_header
                if start < 0 or read_span(file, Span(start, start + len(data))) != data:
                    raise VerificationError(
                        f"{path}: the packet at byte {packet.pos} is not found where the demuxer says"
                    )
                patches += _moved(found, start)
    return patches


def _moved(patches: list[Patch], start: int) -> list[Patch]:
    """Return patches of bytes that lie in the file from `start` on."""
    return [Patch(start + offset, data) for offset, data in patches]
