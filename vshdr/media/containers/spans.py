"""Ranges of bytes in a file, read and overwritten in place."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, NamedTuple


class Span(NamedTuple):
    """Bytes of a file from `start` up to `end`."""

    start: int
    end: int

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self.end - self.start


class Patch(NamedTuple):
    """Bytes that replace as many from `offset` on."""

    offset: int
    data: bytes


def read_span(file: BinaryIO, span: Span) -> bytes:
    """Return the bytes of a span; fewer where the file ends before."""
    file.seek(span.start)
    return file.read(span.size)


def patch(path: str | os.PathLike[str], patches: Iterable[Patch]) -> None:
    """Overwrite bytes of a file in place and wait until they are on the disk."""
    with Path(path).open("r+b") as file:
        for offset, data in patches:
            file.seek(offset)
            file.write(data)
        file.flush()
        os.fsync(file.fileno())
