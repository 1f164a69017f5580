"""HDR metadata: constants, the messages inside bitstreams, and the arguments for `vspipe | ffmpeg`."""

import itertools
import math
import subprocess

import imageio_ffmpeg
import pytest

from vshdr.colour.h273 import ChromaLocation, Matrix, Primaries, Transfer
from vshdr.inspect.encoder_flags import encoder_arguments
from vshdr.media.containers.bitstream import configuration_patches, content_light_patches
from vshdr.media.containers.detect import read_header
from vshdr.media.encoder_arguments import encoder_parameters, ffmpeg_arguments, svtav1_mastering, x265_mastering
from vshdr.media.metadata import (
    ContentLight,
    content_light,
    mastering_display,
    mastering_properties,
    provisional_content_light,
)
from vshdr.media.read.hdr_metadata import read_hdr_metadata


def test_mastering_display_in_the_syntax_of_each_encoder():
    # The P3-D65 line that x265's own documentation gives, with 1000 nits.
    assert (
        x265_mastering(mastering_display(1000.0))
        == "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    )
    assert svtav1_mastering(mastering_display(0.0)) == (
        "G(0.26500,0.69000)B(0.15000,0.06000)R(0.68000,0.32000)WP(0.31270,0.32900)L(10000.0000,0.0001)"
    )


def test_mastering_properties_are_in_red_green_blue_order():
    assert mastering_properties(4000.0) == {
        "MasteringDisplayPrimariesX": [0.680, 0.265, 0.150],
        "MasteringDisplayPrimariesY": [0.320, 0.690, 0.060],
        "MasteringDisplayWhitePointX": 0.3127,
        "MasteringDisplayWhitePointY": 0.3290,
        "MasteringDisplayMinLuminance": 0.0001,
        "MasteringDisplayMaxLuminance": 4000.0,
    }


@pytest.mark.parametrize("peak", [-1.0, 0.5, 10001.0, math.nan, math.inf])
def test_impossible_peaks_are_refused(peak):
    with pytest.raises(ValueError, match="peak is"):
        mastering_display(peak)


@pytest.mark.parametrize(("peak", "bound"), [(1000.0, 1000), (1000.2, 1001), (0.0, 10000), (203.0, 256)])
def test_light_bound_is_the_peak_and_takes_two_bytes(peak, bound):
    assert provisional_content_light(peak) == ContentLight(max_cll=bound, max_fall=bound)


def test_light_is_rounded_and_checked():
    assert content_light(812.6, 95.4) == ContentLight(max_cll=813, max_fall=95)
    for bad in (-1.0, 10001.0, math.nan):
        with pytest.raises(ValueError, match="max_fall is"):
            content_light(100.0, bad)


# A SEI unit of another kind (a mastering display's number, two bytes), a slice that happens to look like a
# light level, and the light level itself: type 144, size 4, 1000 and 1000 nits.
SEI_OTHER = bytes([0x4E, 1, 137, 2, 7, 7, 0x80])
SLICE = bytes([0x26, 1, 144, 4, 3, 0xE8, 3, 0xE8, 0x80])
SEI_LIGHT = bytes([0x4E, 1, 144, 4, 3, 0xE8, 3, 0xE8, 0x80])
BOUNDARIES = (0, 1, 2, 3, 4, 255, 256, 257, 512, 768, 1000, 2560, 10000)


def with_lengths(*units: bytes) -> bytes:
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


def apply(data: bytes, patches) -> bytes:
    result = bytearray(data)
    for offset, replaced in patches:
        result[offset : offset + len(replaced)] = replaced
    assert len(result) == len(data)
    return bytes(result)


@pytest.mark.parametrize(("cll", "fall"), list(itertools.product(BOUNDARIES, BOUNDARIES)))
def test_hevc_light_is_replaced_without_a_change_of_length(cll, fall):
    light = content_light(cll, fall)
    assert (light.max_cll - cll) in (0, 1) and light.max_fall == fall
    packet = with_lengths(SEI_OTHER, SEI_LIGHT, SLICE)
    patched = apply(packet, content_light_patches(packet, "hevc", light))
    unit = bytes([0x4E, 1, 144, 4]) + light.coded() + b"\x80"
    assert patched == with_lengths(SEI_OTHER, unit, SLICE)
    # Emulation prevention: no start code, nor anything that would have to be escaped, is inside the unit.
    assert not any(unit[i : i + 2] == b"\0\0" and unit[i + 2] <= 3 for i in range(len(unit) - 2))


def test_a_length_that_would_change_is_an_error():
    packet = with_lengths(SEI_LIGHT)
    with pytest.raises(RuntimeError, match="changes the length"):
        content_light_patches(packet, "hevc", ContentLight(max_cll=768, max_fall=2))


def test_several_messages_in_one_hevc_unit_and_escaped_bytes_before_the_light():
    light = ContentLight(max_cll=640, max_fall=77)
    # Payload 137 of three bytes 00 00 01, which needs an escape byte, then the light level in the same unit.
    unit = bytes([0x4E, 1, 137, 3, 0, 0, 3, 1, 144, 4, 3, 0xE8, 3, 0xE8, 0x80])
    packet = with_lengths(unit)
    expected = with_lengths(unit[:10] + light.coded() + b"\x80")
    assert apply(packet, content_light_patches(packet, "hevc", light)) == expected


def test_light_in_the_decoder_configuration():
    light = ContentLight(max_cll=640, max_fall=77)
    arrays = [
        bytes([0x20 | 0x80]) + (1).to_bytes(2, "big") + (4).to_bytes(2, "big") + b"\x40\1\2\3",
        bytes([39 | 0x80])
        + (2).to_bytes(2, "big")
        + b"".join(len(u).to_bytes(2, "big") + u for u in (SEI_OTHER, SEI_LIGHT)),
    ]
    configuration = bytes(22) + bytes([len(arrays)]) + b"".join(arrays)
    patched = apply(configuration, configuration_patches(configuration, "hevc", light))
    assert patched == configuration.replace(bytes([144, 4, 3, 0xE8, 3, 0xE8]), bytes([144, 4]) + light.coded())


def test_av1_light_is_replaced_and_other_units_are_kept():
    light = ContentLight(max_cll=768, max_fall=2)  # AV1 has no emulation prevention
    other, frame = bytes([5 << 3 | 2, 3, 2, 9, 0x80]), bytes([6 << 3 | 2, 0x81, 0x01]) + bytes(129)
    metadata = bytes([5 << 3 | 2, 6, 1, 3, 0xE8, 3, 0xE8, 0x80])
    packet = other + metadata + frame
    patched = apply(packet, content_light_patches(packet, "av1", light))
    assert patched == other + metadata[:3] + light.coded() + b"\x80" + frame


def test_hlg_has_no_mastering_display():
    for codec in ("x265", "svtav1"):
        assert (
            not {"master-display", "mastering-display", "max-cll", "content-light"}
            & encoder_parameters(codec, "hlg", 1000).keys()
        )


@pytest.mark.parametrize("codec", ["x265", "svtav1"])
def test_ffmpeg_given_these_arguments_writes_hdr10(codec, tmp_path):
    output = tmp_path / "out.mkv"
    arguments = ffmpeg_arguments(
        codec, peak=1500.0, max_cll=1234.0, max_fall=56.0, preset={"x265": "ultrafast"}.get(codec, "10")
    )
    subprocess.run(
        [
            imageio_ffmpeg.get_ffmpeg_exe(),
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=64x64:r=24:d=0.25",
            *arguments,
            str(output),
        ],
        check=True,
    )
    found = read_hdr_metadata(output)
    assert (found.bitstream.primaries, found.bitstream.transfer, found.bitstream.matrix) == (
        Primaries.BT2020,
        Transfer.PQ,
        Matrix.BT2020_NCL,
    )
    assert found.bitstream.full_range is False and found.bitstream.chroma_location == ChromaLocation.TOP_LEFT
    header = read_header(output)
    assert (header.primaries, header.transfer, header.matrix) == (Primaries.BT2020, Transfer.PQ, Matrix.BT2020_NCL)
    assert header.full_range is False
    assert mastering_display(1500.0).agrees_with(found.bitstream.mastering)
    assert found.bitstream.light == ContentLight(max_cll=1234, max_fall=56)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"codec": "prores"}, "use x265 or svtav1"),
        ({"codec": "x265", "transfer": "gamma"}, "use pq or hlg"),
        ({"codec": "x265", "max_cll": 5.0}, "belong together"),
    ],
)
def test_ffmpeg_arguments_refuse_what_they_do_not_know(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        ffmpeg_arguments(**arguments)


def test_a_scripts_own_pixel_format_is_asked_for_where_the_encoder_has_it(tmp_path):
    script = tmp_path / "s.vpy"
    script.write_text(
        "import vapoursynth as vs\nclip = vs.core.std.BlankClip(format=vs.YUV444P12, width=64, height=64, length=1)\n"
        "clip.std.SetFrameProps(_Transfer=16, _Primaries=9, _Matrix=9).set_output()\n"
    )
    assert "yuv444p12le" in encoder_arguments(script, "x265")
    assert "yuv420p10le" in encoder_arguments(script, "svtav1")
