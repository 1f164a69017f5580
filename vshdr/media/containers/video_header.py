"""What a container's header says about the video, and the places in the file where it says it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vshdr.media.metadata import ContentLight, MasteringDisplay


@dataclass(frozen=True, kw_only=True)
class Field:
    """Bytes of a file."""

    offset: int
    """From the start of the file."""
    size: int
    """In bytes."""


@dataclass(frozen=True, kw_only=True)
class VideoHeader:
    """What a container's header says about its (first) video track."""

    primaries: int | None = None
    """H.273 ColourPrimaries; None where the container says nothing, here and below."""
    transfer: int | None = None
    """H.273 TransferCharacteristics."""
    matrix: int | None = None
    """H.273 MatrixCoefficients."""
    full_range: bool | None = None
    """True for full range, False for limited."""
    siting: tuple[int, int] | None = None
    """Matroska's ChromaSitingHorz and ChromaSitingVert; (1, 1) is top-left. MP4 has no such field."""
    mastering: MasteringDisplay | None = None
    """The mastering display."""
    light: ContentLight | None = None
    """Content light levels."""
    light_fields: tuple[Field, Field] | None = None
    """Where MaxCLL and MaxFALL are, big-endian."""
    configuration: Field | None = None
    """The decoder configuration: CodecPrivate, or the payload of `hvcC`, `av1C`."""


def patch(path: str | os.PathLike[str], patches: list[tuple[int, bytes]]) -> None:
    """Overwrite bytes of a file in place, each at its offset, and waits until they are on the disk."""
    with Path(path).open("r+b") as file:
        for offset, data in patches:
            file.seek(offset)
            file.write(data)
        file.flush()
        os.fsync(file.fileno())


def read_bytes(file: BinaryIO, start: int, end: int) -> bytes:
    """Return the bytes of a file from `start` up to `end`."""
    file.seek(start)
    return file.read(end - start)


def field(start: int, end: int) -> Field:
    """Return the bytes from `start` up to `end` as a `Field`."""
    return Field(offset=start, size=end - start)
