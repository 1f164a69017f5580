"""Writes measured light levels over the bounds that stood for them in a finished file: in the container and in every
message of the video.

MaxCLL and MaxFALL are known when the last frame has been seen, but belong at the start of the file and before
each keyframe. Every field has the length it needs already, so nothing moves.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import av

from vshdr.errors import VerificationError
from vshdr.media.containers.bitstream import Patches, configuration_patches, content_light_patches, hvcc_length_size
from vshdr.media.containers.detect import read_header
from vshdr.media.containers.video_header import VideoHeader, patch
from vshdr.media.metadata import ContentLight
from vshdr.media.write.passthrough import main_video

_BLOCK_HEADER = 4  # Matroska: track number (one byte for a track below 127), time, flags


def patch_content_light(path: str | os.PathLike[str], light: ContentLight) -> None:
    """Replace every content light level of the first video stream of a .mkv, .mp4 or .mov file by `light`,
    in place.

    Raise VerificationError if the container has no such fields, they are too short, or a packet is not where it should
    be; InputError if the container's header is broken. The file is then as it was.
    """
    header = read_header(path)
    if header is None or header.light_fields is None:
        raise VerificationError(f"{path}: the container has no content light level to fill in")
    if min(field.size for field in header.light_fields) < 2:
        raise VerificationError(f"{path}: the container's content light level has no room for two bytes")
    patches = [
        (field.offset, value.to_bytes(field.size, "big"))
        for field, value in zip(header.light_fields, (light.max_cll, light.max_fall), strict=True)
    ]
    try:
        patches += _bitstream_patches(path, header, light)
    except av.FFmpegError as error:
        raise VerificationError(f"{path}: the finished file cannot be read ({error})") from error
    patch(path, patches)


def _bitstream_patches(path: str | os.PathLike[str], header: VideoHeader, light: ContentLight) -> Patches:
    """Return the patches of the decoder configuration and of every packet, at their places in the file."""
    patches: Patches = []
    block_header = _BLOCK_HEADER if Path(path).suffix.lower() == ".mkv" else 0
    with av.open(os.fspath(path)) as container, Path(path).open("rb") as file:
        stream = main_video(container)
        if stream is None or stream.codec_context is None:
            raise VerificationError(f"{path}: the finished file has no video that can be read")
        codec, length_size = stream.codec_context.codec.canonical_name, 4
        if header.configuration is not None:
            at = header.configuration.offset
            configuration = _read(file, at, header.configuration.size)
            patches += [(at + start, unit) for start, unit in configuration_patches(configuration, codec, light)]
            if codec == "hevc":
                length_size = hvcc_length_size(configuration)
        for packet in container.demux(stream):
            data = bytes(packet)
            if found := content_light_patches(data, codec, light, length_size):
                at = -1 if packet.pos is None else packet.pos + block_header
                if at < 0 or _read(file, at, len(data)) != data:
                    raise VerificationError(
                        f"{path}: the packet at byte {packet.pos} is not found where the demuxer says"
                    )
                patches += [(at + start, unit) for start, unit in found]
    return patches


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)
