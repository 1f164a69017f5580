"""What a container's header says about the video, and where in the file it says it."""

from __future__ import annotations

from dataclasses import dataclass

from vshdr.media.containers.spans import Span
from vshdr.media.metadata import HDRDescription


@dataclass(frozen=True, kw_only=True)
class VideoHeader(HDRDescription):
    """What a container's header says about its first video track, and where. None where it says nothing.

    MP4 has no field for the chroma location.
    """

    light_fields: tuple[Span, Span] | None = None
    """Where MaxCLL and MaxFALL are, big-endian."""
    configuration: Span | None = None
    """Where the decoder configuration is: CodecPrivate, or the payload of `hvcC` or `av1C`."""
