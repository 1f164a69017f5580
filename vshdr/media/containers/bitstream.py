"""Content light levels inside HEVC and AV1 bitstreams: found unit by unit, replaced without changing a length.

Only what the writer needs: NAL units and OBUs, and the one message whose values are known only when the last frame has
been encoded. References: ITU-T H.265 (HEVC), the AV1 bitstream specification.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from vshdr.errors import VerificationError
from vshdr.media.containers.spans import Patch, Span
from vshdr.media.metadata import ContentLight

_HEVC_PREFIX_SEI = 39
_SEI_CONTENT_LIGHT = 144  # content_light_level_info, HEVC D.2.35
_OBU_METADATA = 5
_METADATA_HDR_CLL = 1  # AV1 6.7.1


def content_light_patches(data: bytes, codec: str, light: ContentLight, nal_length_size: int = 4) -> list[Patch]:
    """Return one patch for each content light level of a packet, which makes it equal to `light`; no length changes.

    `codec` is "hevc" (NAL units behind lengths of `nal_length_size` bytes) or "av1"; other codecs carry no light level.
    Offsets count from the start of the packet. Raise VerificationError for a packet that is cut short, or where a
    length would change.
    """
    with _refusing_what_is_cut_short("packet"):
        if codec == "hevc":
            return _patches_of_units(data, _length_prefixed(data, nal_length_size), light)
        if codec == "av1":
            return _patches_of_obus(data, 0, light)
    return []


def configuration_patches(data: bytes, codec: str, light: ContentLight) -> list[Patch]:
    """Return the same for a container's decoder configuration: an `hvcC` or `av1C` record, without box header."""
    with _refusing_what_is_cut_short("decoder configuration"):
        if codec == "hevc":
            return _patches_of_units(data, _hvcc_units(data), light)
        if codec == "av1":
            return _patches_of_obus(data, 4, light)  # configOBUs follow four bytes of flags
    return []


def hvcc_length_size(configuration: bytes) -> int:
    """Return how many bytes hold the length of each NAL unit, by an `hvcC` record (ISO/IEC 14496-15, 8.3.3.1).

    Raise VerificationError for a record that is cut short.
    """
    with _refusing_what_is_cut_short("decoder configuration"):
        return (configuration[21] & 3) + 1


@contextlib.contextmanager
def _refusing_what_is_cut_short(what: str) -> Iterator[None]:
    """Raise VerificationError where reading `what` runs past its end."""
    try:
        yield
    except IndexError as error:
        raise VerificationError(f"a {what} of the video is cut short or damaged") from error


def _length_prefixed(data: bytes, length_size: int) -> Iterator[Span]:
    """Yield the NAL units of a packet, each behind its length."""
    position = 0
    while position + length_size <= len(data):
        start = position + length_size
        position = start + int.from_bytes(data[position:start], "big")
        yield Span(start, min(position, len(data)))


def _hvcc_units(data: bytes) -> Iterator[Span]:
    """Yield the NAL units of an `hvcC` record: arrays of units, each behind its length of two bytes."""
    position = 23
    for _ in range(data[22]):
        count = int.from_bytes(data[position + 1 : position + 3], "big")
        position += 3
        for _ in range(count):
            start = position + 2
            position = start + int.from_bytes(data[position:start], "big")
            yield Span(start, position)


def _patches_of_units(data: bytes, units: Iterator[Span], light: ContentLight) -> list[Patch]:
    patches = []
    for start, end in units:
        if end - start > 2 and data[start] >> 1 & 0x3F == _HEVC_PREFIX_SEI:
            replaced = _replace_in_sei(data[start:end], light)
            if replaced is not None:
                patches.append(Patch(start, replaced))
    return patches


def _replace_in_sei(unit: bytes, light: ContentLight) -> bytes | None:
    """Return a SEI unit with the light level replaced; None if it has none."""
    payload = bytearray(_unescape(unit))
    position, found = 2, False  # after the unit's header
    while position + 2 < len(payload):  # what is left then is at most the trailing bits
        kind, position = _sei_number(payload, position)
        size, position = _sei_number(payload, position)
        if kind == _SEI_CONTENT_LIGHT and size == 4:
            payload[position : position + 4] = light.coded()
            found = True
        position += size
    if not found:
        return None
    escaped = _escape(payload)
    if len(escaped) != len(unit):
        raise VerificationError(
            f"a light level of {light.max_cll},{light.max_fall} changes the length of its HEVC message"
        )
    return escaped


def _sei_number(data: bytearray, position: int) -> tuple[int, int]:
    """Return a payload type or size, and the position after it: a run of 0xFF and a last byte, added up."""
    number = 0
    while data[position] == 0xFF:
        number, position = number + 255, position + 1
    return number + data[position], position + 1


def _unescape(unit: bytes) -> bytes:
    """Return a unit without emulation prevention (HEVC 7.3.1.1): every 00 00 03 becomes 00 00."""
    pieces, position = [], 0
    while (at := unit.find(b"\0\0\3", position)) >= 0:
        pieces.append(unit[position : at + 2])
        position = at + 3
    return b"".join((*pieces, unit[position:]))


def _escape(payload: bytearray) -> bytes:
    """Return a unit with emulation prevention: the inverse of `_unescape`."""
    result, zeros = bytearray(), 0
    for byte in payload:
        if zeros >= 2 and byte <= 3:
            result.append(3)
            zeros = 0
        result.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(result)


def _patches_of_obus(data: bytes, position: int, light: ContentLight) -> list[Patch]:
    """Return the patches of the OBUs from `position` on."""
    patches = []
    while position < len(data):
        header = data[position]
        position += 2 if header & 4 else 1  # the extension flag announces a second byte
        size = len(data) - position
        if header & 2:  # the unit says its size; else it reaches to the end
            size, position = _leb128(data, position)
        end = position + size
        if end > len(data):
            raise IndexError("an OBU is longer than what holds it")
        if header >> 3 & 15 == _OBU_METADATA:
            kind, start = _leb128(data, position)
            if kind == _METADATA_HDR_CLL:
                if start + 4 > end:
                    raise IndexError("a light level is longer than its OBU")
                patches.append(Patch(start, light.coded()))
        position = end
    return patches


def _leb128(data: bytes, position: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, the lowest first, in up to eight bytes (AV1 4.10.5), and where it ends."""
    number = 0
    for shift in range(0, 56, 7):
        byte = data[position]
        number |= (byte & 0x7F) << shift
        position += 1
        if not byte & 0x80:
            return number, position
    raise IndexError("a number has more than eight bytes")
