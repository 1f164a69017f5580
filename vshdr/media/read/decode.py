"""Decoding a video file from its first frame to its last, and noticing where it is damaged or cut off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import av
from av.codec.context import ThreadType
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from vshdr.errors import InputError, reason
from vshdr.media.containers.completeness import promised_size
from vshdr.media.read.streams import first_video_stream


def check_complete(path: Path) -> None:
    """Raise InputError where a file is shorter than its container says."""
    size, promised = path.stat().st_size, promised_size(path)
    if promised is not None and size < promised:
        raise InputError(f"{path.name}: the file is cut off: {size} of {promised} bytes are there")


def open_container(path: Path, hardware: HWAccel | None = None) -> InputContainer:
    """Open a media file. Raise InputError where it is empty or not one that FFmpeg can read."""
    if path.stat().st_size == 0:
        raise InputError(f"{path.name}: the file is empty")
    try:
        return av.open(str(path), hwaccel=hardware)
    except FFmpegError as error:
        raise InputError(
            f"{path.name}: this is not a video that can be read, or its end is missing ({reason(error)})"
        ) from None


def video_stream(container: InputContainer, name: str) -> VideoStream:
    """Return the first video stream that is not a cover picture. Raise InputError where there is none."""
    stream = first_video_stream(container)
    if stream is None:
        raise InputError(f"{name}: there is no video in this file")
    return stream


def decode(
    path: Path, name: str, stored_count: int, note: Callable[[str, str], None], hardware: HWAccel | None = None
) -> Iterator[av.VideoFrame]:
    """Yield all frames of a video file.

    `stored_count` is the number of packets that the container promises, 0 where it does not say. `note` takes a topic
    and a sentence on damage that does not end the clip. Raise InputError with the number of the first frame that cannot
    be decoded, and where packets are missing at the end.
    """
    count = packets = 0
    with open_container(path, hardware) as container:
        stream = video_stream(container, name)
        if hardware is None:
            stream.thread_type = ThreadType.AUTO
        try:
            for packet in container.demux(stream):
                if packets == 0 and not packet.is_keyframe:
                    note(
                        "start",
                        "the file begins between key frames; what cannot be decoded before the first one is left out",
                    )
                packets += packet.size > 0
                if packet.is_corrupt:
                    note(
                        "damage",
                        f"the file is damaged around frame {count}, perhaps also later; the decoder covered it up",
                    )
                try:
                    frames = packet.decode()
                except FFmpegError:
                    if count > 0:
                        raise
                    continue  # nothing can be shown before the first key frame
                for frame in frames:
                    yield frame
                    count += 1
        except FFmpegError as error:
            raise InputError(f"{name}: frame {count} cannot be decoded ({reason(error)})") from None
    if packets < stored_count:
        raise InputError(f"{name}: the file is cut off: it holds {packets} of {stored_count} frames")
