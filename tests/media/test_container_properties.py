"""Container and bitstream parsers against damaged files: a result or the documented error, and bounded work."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from helpers.mutations import damaged
from hypothesis import given
from hypothesis import strategies as st

from vshdr.colour.h273 import ChromaLocation, Transfer
from vshdr.errors import InputError, VerificationError
from vshdr.media.containers import bitstream, ebml, matroska
from vshdr.media.containers.bitstream import configuration_patches, content_light_patches, hvcc_length_size
from vshdr.media.containers.completeness import promised_size
from vshdr.media.containers.detect import read_header
from vshdr.media.containers.matroska import read_matroska
from vshdr.media.containers.mp4 import read_mp4
from vshdr.media.containers.spans import Patch, Span
from vshdr.media.metadata import ContentLight, content_light
from vshdr.media.read.hdr_metadata import read_hdr_metadata
from vshdr.media.write.content_light_patch import patch_content_light
from vshdr.media.write.encoders import VideoSettings
from vshdr.media.write.video import VideoWriter

PRESETS = {"x265": "ultrafast", "svtav1": "10", "prores": "", "ffv1": ""}
FILES = [("mkv", "x265"), ("mp4", "x265"), ("mov", "x265"), ("mkv", "svtav1"), ("mp4", "svtav1"), ("mkv", "ffv1")]
LIGHTS = st.builds(content_light, st.floats(0.0, 10000.0), st.floats(0.0, 10000.0))


@functools.cache
def finished(suffix: str, codec: str) -> bytes:
    """Two frames of HDR10 with a light level of 812 and 96 nits."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"a.{suffix}")
        settings = VideoSettings(width=64, height=48, codec=codec, time_base=Fraction(1, 24), preset=PRESETS[codec])
        with VideoWriter(path, settings) as writer:
            for tick in range(2):
                writer.write([np.full(shape, 400 + 90 * tick, np.uint16) for shape in settings.plane_shapes()], tick)
            writer.finish(812.4, 95.5)
        return path.read_bytes()


def without_frames(light: ContentLight) -> bytes:
    """A Matroska header with a light level, and no cluster."""
    return matroska.template(
        "ffv1", width=64, height=48, transfer=Transfer.PQ, chroma_location=None, mastering=None, light=light
    )


def header_of(data: bytes) -> tuple[int, int]:
    """Where a file's header is: all of a Matroska file before its first cluster, the `moov` box of others."""
    if data.startswith(ebml.MAGIC):
        return 0, data.index(b"\x1f\x43\xb6\x75")
    start = data.index(b"moov") - 4
    return start, start + int.from_bytes(data[start : start + 4], "big")


@st.composite
def damaged_header(draw: st.DrawFn, whole: bytes) -> bytes:
    return draw(damaged(whole, *header_of(whole)) | damaged(whole))


class Endless(io.BytesIO):
    """A file that goes on with zeros for a tebibyte, and notices who reads all of it."""

    SIZE = 1 << 40
    reads = 0

    def read(self, size: int | None = -1) -> bytes:
        self.reads += 1
        assert self.reads < 20_000, "the parser goes through all of the file"
        assert size is not None and 0 <= size < 1 << 20, f"the parser reads {size} bytes at once"
        return super().read(size).ljust(size, b"\0")


@pytest.mark.parametrize(("suffix", "codec"), FILES)
@given(data=st.data())
def test_a_damaged_header_gives_a_header_or_the_documented_error(suffix, codec, data, tmp_path_factory) -> None:
    path = tmp_path_factory.getbasetemp() / f"damaged.{suffix}"
    path.write_bytes(data.draw(damaged_header(finished(suffix, codec))))
    try:
        read_header(path)
    except InputError as error:
        assert str(path) in str(error)
    promised = promised_size(path)
    assert promised is None or promised >= 0


@pytest.mark.parametrize(("suffix", "codec"), FILES)
@given(data=st.data())
def test_a_header_is_read_with_bounded_work_whatever_sizes_it_claims(suffix, codec, data) -> None:
    file = Endless(data.draw(damaged_header(finished(suffix, codec))))
    with contextlib.suppress(InputError):
        (read_matroska if suffix == "mkv" else read_mp4)(file, Endless.SIZE)


@given(content=st.binary(max_size=200), head=st.sampled_from([b"", ebml.MAGIC, b"\0\0\0\x18ftyp", b"RIFF"]))
def test_any_bytes_are_a_file_of_some_kind(content, head, tmp_path_factory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.bytes"
    path.write_bytes(head + content)
    try:
        read_header(path)
    except InputError as error:
        assert str(path) in str(error)
    promised_size(path)


@pytest.mark.parametrize(("suffix", "codec"), FILES)
def test_a_file_has_the_bytes_that_it_promises_and_fewer_once_cut_off(suffix, codec, tmp_path) -> None:
    whole, path = finished(suffix, codec), tmp_path / f"a.{suffix}"
    path.write_bytes(whole)
    assert promised_size(path) == len(whole)
    for share in (0.3, 0.6, 0.99):
        path.write_bytes(whole[: int(share * len(whole))])
        promised = promised_size(path)
        assert promised is not None and promised > path.stat().st_size


def test_a_matroska_header_longer_than_its_file_is_a_promise(tmp_path) -> None:
    path = tmp_path / "a.mkv"
    path.write_bytes(ebml.MAGIC + b"\x01" + (1 << 54).to_bytes(7, "big") + bytes(80))
    assert promised_size(path) == 12 + (1 << 54)


@pytest.mark.parametrize("damage", [b"\0" * 16, b"\x82", b"\x42\x86\x00"])
def test_what_is_no_matroska_element_is_refused_at_once(damage, tmp_path) -> None:
    """Also where a tebibyte of zeros follows, as in a file that a download has only made room for."""
    path = tmp_path / "a.mkv"
    path.write_bytes(ebml.MAGIC + b"\x80" + damage)
    with pytest.raises(InputError, match="no Matroska element at byte 5"):
        read_header(path)
    os.truncate(path, Endless.SIZE)
    if damage.startswith(b"\0"):
        with pytest.raises(InputError, match="no Matroska element at byte 5"):
            read_header(path)


@pytest.mark.parametrize("checksum", [bytes([0x83, 0x81, 1, 0xEC]), bytes(4)])
def test_a_checksum_is_no_track_whatever_its_bytes(checksum) -> None:
    """As ffmpeg writes it before the tracks: bytes that read as a video track, and some that mean nothing."""
    light = ContentLight(max_cll=640, max_fall=77)
    data = without_frames(light)
    file = io.BytesIO(data)
    segment = ebml.find(file, Span(0, len(data)), matroska._SEGMENT)
    tracks = ebml.find(file, segment, matroska._TRACKS)
    tracks = ebml.element(matroska._TRACKS, ebml.element(0xBF, checksum), data[slice(*tracks)])
    data = ebml.MAGIC + b"\x80" + ebml.element(matroska._SEGMENT, tracks)
    assert read_matroska(io.BytesIO(data), len(data)).light == light


def test_a_light_level_that_reaches_beyond_its_packet_is_refused() -> None:
    light = ContentLight(max_cll=640, max_fall=77)
    for packet in (bytes([5 << 3 | 2, 3, 1, 3, 0xE8]), bytes([5 << 3 | 2, 6, 1, 3, 0xE8]), bytes([5 << 3 | 2, 0x80])):
        with pytest.raises(VerificationError, match="packet of the video is cut short or damaged"):
            content_light_patches(packet, "av1", light)
    with pytest.raises(VerificationError, match="configuration of the video is cut short or damaged"):
        configuration_patches(bytes(22), "hevc", light)


def test_a_codec_that_nobody_knows_is_refused(tmp_path) -> None:
    path = tmp_path / "a.mkv"
    before = finished("mkv", "ffv1").replace(b"V_FFV1", b"V_XFV9")
    path.write_bytes(before)
    with pytest.raises(InputError, match="no video stream that can be read"):
        read_hdr_metadata(path)
    with pytest.raises(VerificationError, match="no video stream to fill"):
        patch_content_light(path, ContentLight(max_cll=640, max_fall=77))
    assert path.read_bytes() == before


def test_a_light_level_with_room_for_one_byte_is_refused(tmp_path) -> None:
    path = tmp_path / "a.mkv"
    narrow = ContentLight(max_cll=96, max_fall=96)
    before = without_frames(narrow)
    path.write_bytes(before)
    with pytest.raises(VerificationError, match="no room for two bytes"):
        patch_content_light(path, ContentLight(max_cll=640, max_fall=77))
    assert path.read_bytes() == before


@pytest.mark.parametrize(("suffix", "codec"), FILES)
@given(light=LIGHTS)
def test_a_light_level_is_read_back_and_nothing_else_changes(suffix, codec, light, tmp_path_factory) -> None:
    before, path = finished(suffix, codec), tmp_path_factory.getbasetemp() / f"light.{suffix}"
    path.write_bytes(before)
    patch_content_light(path, light)
    found = read_hdr_metadata(path)
    assert found.container.light == light
    if codec != "ffv1":  # whose stream has no place for it
        assert found.bitstream.light == light
    after = path.read_bytes()
    patch_content_light(path, ContentLight(max_cll=812, max_fall=96))
    assert path.read_bytes() == before
    assert len(after) == len(before)
    old = (812).to_bytes(2, "big"), (96).to_bytes(2, "big")
    changed = [at for at, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert all(any(value in (before[at - 1 : at + 1], before[at : at + 2]) for value in old) for at in changed)


@pytest.mark.parametrize(("suffix", "codec"), FILES)
@given(data=st.data())
def test_a_damaged_file_is_patched_whole_or_not_at_all(suffix, codec, data, tmp_path_factory) -> None:
    path = tmp_path_factory.getbasetemp() / f"patched.{suffix}"
    before = data.draw(damaged_header(finished(suffix, codec)))
    path.write_bytes(before)
    try:
        patch_content_light(path, ContentLight(max_cll=640, max_fall=77))
    except (InputError, OSError, VerificationError):
        assert path.read_bytes() == before
    else:
        after = path.read_bytes()
        assert len(after) == len(before) and sum(a != b for a, b in zip(before, after, strict=True)) < 64


@pytest.mark.parametrize(("suffix", "codec"), FILES)
@given(data=st.data())
def test_metadata_of_a_damaged_file_are_read_or_refused(suffix, codec, data, tmp_path_factory) -> None:
    path = tmp_path_factory.getbasetemp() / f"metadata.{suffix}"
    path.write_bytes(data.draw(damaged_header(finished(suffix, codec))))
    try:
        read_hdr_metadata(path)
    except (InputError, OSError) as error:
        assert str(path) in str(error)


def patched(data: bytes, patches: list[Patch]) -> bytes:
    result = bytearray(data)
    for offset, replaced in patches:
        assert 0 <= offset and offset + len(replaced) <= len(data), "a patch lies outside of its packet"
        result[offset : offset + len(replaced)] = replaced
    return bytes(result)


UNITS = {
    "hevc": b"".join(
        len(unit).to_bytes(4, "big") + unit
        for unit in (bytes([0x4E, 1, 137, 2, 7, 7, 0x80]), bytes([0x4E, 1, 144, 4, 3, 0xE8, 3, 0xE8, 0x80]))
    ),
    "av1": bytes([5 << 3 | 2, 3, 2, 9, 0x80]) + bytes([5 << 3 | 2, 6, 1, 3, 0xE8, 3, 0xE8, 0x80]) + bytes([18, 0]),
}


@pytest.mark.parametrize("codec", UNITS)
@given(data=st.data(), light=LIGHTS, length_size=st.integers(1, 4))
def test_damaged_packets_give_patches_inside_them_or_the_documented_error(codec, data, light, length_size) -> None:
    packet = data.draw(damaged(UNITS[codec]) | st.binary(max_size=60))
    with contextlib.suppress(VerificationError):
        patched(packet, configuration_patches(packet, codec, light))
    with contextlib.suppress(VerificationError):
        patched(packet, content_light_patches(packet, codec, light, length_size))


@given(configuration=st.binary(max_size=40))
def test_the_length_of_a_length_is_one_to_four_bytes(configuration) -> None:
    try:
        assert 1 <= hvcc_length_size(configuration) <= 4
    except VerificationError:
        assert len(configuration) < 22


# Mostly the bytes that emulation prevention is about.
PAYLOADS = st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 4, 255]), max_size=40).map(bytes) | st.binary(max_size=40)


@given(payload=PAYLOADS)
def test_emulation_prevention_is_undone_and_leaves_no_start_code(payload) -> None:
    escaped = bitstream._escape(payload)
    assert bitstream._unescape(escaped) == payload
    assert not any(start in escaped for start in (b"\0\0\0", b"\0\0\1", b"\0\0\2"))


@given(number=st.integers(0, (1 << 56) - 1), after=st.binary(max_size=3))
def test_leb128_is_read_back(number, after) -> None:
    groups = [number >> shift & 0x7F for shift in range(0, max(1, number.bit_length()), 7)]
    coded = bytes(group | 0x80 for group in groups[:-1]) + bytes(groups[-1:])
    assert bitstream._leb128(coded + after, 0) == (number, len(coded))


@given(sizes=st.lists(st.sampled_from([0, 1, 126, 127, 128, 16382, 16383, 16384]) | st.integers(0, 300), max_size=4))
def test_ebml_elements_are_read_back(sizes) -> None:
    data = b"".join(ebml.element(0x55B0 + number, bytes(size)) for number, size in enumerate(sizes))
    found = list(ebml.elements(io.BytesIO(data), Span(0, len(data))))
    assert [(identity, content.size) for identity, content in found] == [
        (0x55B0 + number, size) for number, size in enumerate(sizes)
    ]


@given(
    width=st.integers(1, 20000),
    height=st.integers(1, 20000),
    light=st.none() | LIGHTS,
    transfer=st.sampled_from([Transfer.PQ, Transfer.HLG]),
    location=st.sampled_from([None, ChromaLocation.LEFT, ChromaLocation.CENTER, ChromaLocation.TOP_LEFT]),
)
def test_the_matroska_template_is_read_back(width, height, light, transfer, location) -> None:
    data = matroska.template(
        "x265", width=width, height=height, transfer=transfer, chroma_location=location, mastering=None, light=light
    )
    header = read_matroska(io.BytesIO(data), len(data))
    assert (header.primaries, header.transfer, header.matrix, header.full_range) == (9, transfer, 9, False)
    assert (header.light, header.chroma_location) == (light, location)
