"""EBML, the elements that Matroska files are made of (RFC 8794): written and walked through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from vshdr.errors import InputError
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
    length_size = len(data).bit_length() // 7 + 1  # seven bits a byte, never all ones: that means an unknown size
    size = (len(data) | 1 << 7 * length_size).to_bytes(length_size, "big")
    return identity.to_bytes((identity.bit_length() + 7) // 8, "big") + size + data


def unsigned(identity: int, value: int) -> bytes:
    """Return an element that holds an unsigned integer in as few bytes as it needs."""
    return element(identity, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def elements(file: BinaryIO, span: Span) -> Iterator[Element]:
    """Yield the elements that lie side by side in a span of the file.

    An element of unknown size, as in a file that was cut short, reaches to the end of the span. Raise InputError where
    no element begins (RFC 8794: identities have up to four bytes, sizes up to eight), rather than go on through what
    may be gigabytes of zeros.
    """
    start, end = span
    while start < end:
        file.seek(start)
        head = file.read(min(12, end - start))
        id_size = 9 - head[0].bit_length() if head else 9
        length_size = 9 - head[id_size].bit_length() if id_size <= 4 and id_size < len(head) else 9
        content = start + id_size + length_size
        if length_size > 8 or content > end:
            raise InputError(f"there is no Matroska element at byte {start}")
        identity = int.from_bytes(head[:id_size], "big")
        mask = (1 << 7 * length_size) - 1
        size = int.from_bytes(head[id_size : id_size + length_size], "big") & mask
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
