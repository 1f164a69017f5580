"""What a container's header says about the video, and where in the file it says it."""

from __future__ import annotations

from dataclasses import dataclass

from vshdr.colour.h273 import ChromaLocation
from vshdr.media.containers.spans import Span
from vshdr.media.metadata import ContentLight, MasteringDisplay


@dataclass(frozen=True, kw_only=True)
class VideoHeader:
    """What a container's header says about its first video track. None where it says nothing."""

    primaries: int | None = None
    """H.273 ColourPrimaries (`Primaries`, but a file may hold any number, here and below)."""
    transfer: int | None = None
    """H.273 TransferCharacteristics (`Transfer`)."""
    matrix: int | None = None
    """H.273 MatrixCoefficients (`Matrix`)."""
    full_range: bool | None = None
    """True for full range, False for limited."""
    chroma_location: ChromaLocation | None = None
    """Where chroma samples lie. MP4 has no such field."""
    mastering: MasteringDisplay | None = None
    """The mastering display."""
    light: ContentLight | None = None
    """Content light levels."""
    light_fields: tuple[Span, Span] | None = None
    """Where MaxCLL and MaxFALL are, big-endian."""
    configuration: Span | None = None
    """Where the decoder configuration is: CodecPrivate, or the payload of `hvcC` or `av1C`."""
