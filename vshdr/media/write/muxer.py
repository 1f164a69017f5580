"""The container that a video is written to, and its video stream with all that is said about the picture.

PyAV cannot set a stream's HDR metadata, but it can copy a stream with them. So the stream is copied from a template, a
Matroska file in memory; from it FFmpeg writes the native boxes or elements of each container.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import av
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from vshdr.colour.h273 import HDR_TRANSFERS
from vshdr.media.containers.matroska import DISPLAY_SIZE_ROOM, template
from vshdr.media.metadata import mastering_display, provisional_content_light
from vshdr.media.write.encoders import VideoSettings, set_colour_tags

# FFmpeg gives each cluster of Matroska a checksum, which would be wrong once the light levels are patched. Other
# containers have none.
_MUXER_OPTIONS = {".mkv": {"write_crc32": "0"}}


def open_output(path: Path) -> OutputContainer:
    """Open a container of the suffix's kind for writing. Raise OSError where the file cannot be made."""
    return av.open(os.fspath(path), "w", container_options=_MUXER_OPTIONS.get(path.suffix.lower(), {}))


def add_video_stream(
    output: OutputContainer, settings: VideoSettings, encoder: VideoCodecContext, suffix: str
) -> VideoStream:
    """Add the stream that takes the packets of `encoder` and says all that the settings say.

    For PQ it also gets the mastering display and, until they are measured, bounds of the content light levels.
    """
    hdr10 = settings.transfer == "pq"
    data = template(
        settings.codec,
        width=settings.width,
        height=settings.height,
        transfer=HDR_TRANSFERS[settings.transfer],
        chroma_location=settings.chroma_location,
        mastering=mastering_display(settings.peak) if hdr10 else None,
        light=provisional_content_light(settings.peak) if hdr10 else None,
    )
    with av.open(io.BytesIO(data)) as container:
        stream = output.add_stream_from_template(container.streams.video[0], opaque=True)
    described = stream.codec_context
    described.pix_fmt, described.extradata = settings.format, encoder.extradata
    set_colour_tags(described, settings)
    if settings.codec == "x265" and suffix != ".mkv":
        described.codec_tag = "hvc1"  # Apple's players refuse the other tag, hev1
    elif settings.codec == "prores":
        described.codec_tag = encoder.codec_tag
    if settings.frame_rate is not None:
        described.framerate = settings.frame_rate  # MP4 counts its timecode by it
    stream.time_base = settings.time_base
    return stream


def leave_room_for_display_size(stream: VideoStream) -> None:
    """Lengthen the title of a Matroska stream by the room that `set_display_size` needs in the finished file."""
    stream.metadata["title"] = stream.metadata.get("title", "") + DISPLAY_SIZE_ROOM
