"""Content light level inside HEVC and AV1 bitstreams: found by parsing units, replaced without changing a
length.

Only what the writer needs: walking NAL units and OBUs, and the one message that is known only when the last
frame is encoded.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from vshdr.errors import VerificationError
from vshdr.media.metadata import ContentLight

_HEVC_PREFIX_SEI = 39
_SEI_CONTENT_LIGHT = 144  # content_light_level_info, HEVC D.2.35
_OBU_METADATA = 5
_METADATA_HDR_CLL = 1  # AV1 6.7.1


Patches = list[tuple[int, bytes]]
"""Offsets and the bytes to be put there."""


def content_light_patches(data: bytes, codec: str, light: ContentLight, nal_length_size: int = 4) -> Patches:
    """Return what makes every content light level of a packet equal to `light`, one patch for each; no length
    changes.

    `codec` is "hevc" (NAL units behind lengths of `nal_length_size` bytes) or "av1"; other codecs carry no
    light level. Raise VerificationError for a packet that is cut short, or where a length would change.
    """
    with _refusing_what_is_cut_short("packet"):
        if codec == "hevc":
            return _patches_of_units(data, _length_prefixed(data, nal_length_size), light)
        if codec == "av1":
            return _patches_of_obus(data, 0, light)
    return []


def configuration_patches(data: bytes, codec: str, light: ContentLight) -> Patches:
    """As `content_light_patches`, for the decoder configuration of the container (`hvcC` or `av1C`, without
    box header).
    """
    with _refusing_what_is_cut_short("decoder configuration"):
        if codec == "hevc":
            return _patches_of_units(data, _hvcc_units(data), light)
        if codec == "av1":
            return _patches_of_obus(data, 4, light)  # configOBUs follow four bytes of flags
    return []


def hvcc_length_size(configuration: bytes) -> int:
    """Return bytes of the length before each NAL unit, from an `hvcC` record (ISO/IEC 14496-15, 8.3.3.1).

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


def _length_prefixed(data: bytes, length_size: int) -> Iterator[tuple[int, int]]:
    position = 0
    while position + length_size <= len(data):
        start = position + length_size
        position = start + int.from_bytes(data[position:start], "big")
        yield start, min(position, len(data))


def _hvcc_units(data: bytes) -> Iterator[tuple[int, int]]:
    position = 23
    for _ in range(data[22]):
        count = int.from_bytes(data[position + 1 : position + 3], "big")
        position += 3
        for _ in range(count):
            start = position + 2
            position = start + int.from_bytes(data[position:start], "big")
            yield start, position


def _patches_of_units(data: bytes, units: Iterator[tuple[int, int]], light: ContentLight) -> Patches:
    patches = []
    for start, end in units:
        if end - start > 2 and data[start] >> 1 & 0x3F == _HEVC_PREFIX_SEI:
            replaced = _replace_in_sei(data[start:end], light)
            if replaced is not None:
                patches.append((start, replaced))
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


def _sei_number(data: bytes, position: int) -> tuple[int, int]:
    """Return a payload type or size: a run of 0xFF and a last byte, added up."""
    number = 0
    while data[position] == 0xFF:
        number, position = number + 255, position + 1
    return number + data[position], position + 1


def _unescape(unit: bytes) -> bytes:
    """Without emulation prevention (HEVC 7.3.1.1): every 00 00 03 is 00 00."""
    pieces, position = [], 0
    while (at := unit.find(b"\0\0\3", position)) >= 0:
        pieces.append(unit[position : at + 2])
        position = at + 3
    return b"".join((*pieces, unit[position:]))


def _escape(payload: bytes) -> bytes:
    result, zeros = bytearray(), 0
    for byte in payload:
        if zeros >= 2 and byte <= 3:
            result.append(3)
            zeros = 0
        result.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(result)


def _patches_of_obus(data: bytes, position: int, light: ContentLight) -> Patches:
    patches = []
    while position < len(data):
        header = data[position]
        position += 2 if header & 4 else 1  # a second byte where the extension flag is set
        size = len(data) - position
        if header & 2:
            size, position = _leb128(data, position)
        end = position + size
        if end > len(data):
            raise IndexError("an OBU is longer than what holds it")
        if header >> 3 & 15 == _OBU_METADATA:
            kind, start = _leb128(data, position)
            if kind == _METADATA_HDR_CLL:
                if start + 4 > end:
                    raise IndexError("a light level is longer than its OBU")
                patches.append((start, light.coded()))
        position = end
    return patches


def _leb128(data: bytes, position: int) -> tuple[int, int]:
    """Return a number of up to eight bytes, seven bits each (AV1 4.10.5), and where it ends."""
    number = 0
    for shift in range(0, 56, 7):
        byte = data[position]
        number |= (byte & 0x7F) << shift
        position += 1
        if not byte & 0x80:
            return number, position
    raise IndexError("a number has more than eight bytes")
