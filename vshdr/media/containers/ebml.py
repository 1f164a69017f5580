"""EBML, the elements that Matroska files are made of (RFC 8794): written and walked through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from vshdr.media.containers.spans import Span

MAGIC = b"\x1a\x45\xdf\xa3"
"""The first bytes of every Matroska and WebM file: the identity of the EBML header."""


class Element(NamedTuple):
    """An element found in a file."""

    identity: int
    content: Span


def element(identity: int, *content: bytes) -> bytes:
    """Return an element: its identity, the size of its content and the content."""
    data = b"".join(content)
    length_size = len(data).bit_length() // 7 + 1  # seven bits a byte; all ones would mean an unknown size
    if len(data) == (1 << 7 * length_size) - 1:
        length_size += 1
    size = (len(data) | 1 << 7 * length_size).to_bytes(length_size, "big")
    return identity.to_bytes((identity.bit_length() + 7) // 8, "big") + size + data


def unsigned(identity: int, value: int) -> bytes:
    """Return an element that holds an unsigned integer in as few bytes as it needs."""
    return element(identity, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def elements(file: BinaryIO, span: Span) -> Iterator[Element]:
    """Yield the elements that lie side by side in a span of the file.

    An element of unknown size, as in a file that was cut short, reaches to the end of the span.
    """
    start, end = span
    while start < end:
        file.seek(start)
        head = file.read(12)
        id_size = 9 - head[0].bit_length()
        identity = int.from_bytes(head[:id_size], "big")
        length_size = 9 - head[id_size].bit_length()
        mask = (1 << 7 * length_size) - 1
        size = int.from_bytes(head[id_size : id_size + length_size], "big") & mask
        content = start + id_size + length_size
        start = end if size == mask else content + size
        yield Element(identity, Span(content, min(start, end)))


def find(file: BinaryIO, span: Span, wanted: int, *, before: int | None = None) -> Span | None:
    """Return the content of the first element `wanted` in a span; None if an element `before` comes first."""
    for identity, content in elements(file, span):
        if identity == wanted:
            return content
        if identity == before:
            return None
    return None
