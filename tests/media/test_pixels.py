"""Code values survive exactly, whatever FFmpeg calls the format they are stored in."""

import av
import numpy as np
import pytest
import vapoursynth as vs

from vshdr.media.read.pixels import layout_of

SIZE = (18, 10)  # FFmpeg pads rows: a width that is no multiple of anything shows when padding is taken for picture


def random_frame(pixel_format: str, bits: int, seed: int = 1) -> tuple[av.VideoFrame, list[np.ndarray]]:
    """A planar frame of random code values and the values, in the order of the frame's planes."""
    random = np.random.default_rng(seed)
    frame = av.VideoFrame(*SIZE, pixel_format)
    values = []
    for plane in frame.planes:
        dtype = np.dtype(np.uint8 if bits == 8 else np.uint16)
        code = random.integers(0, 2**bits, (plane.height, plane.width)).astype(dtype)
        np.ndarray(code.shape, dtype, buffer=plane, strides=(plane.line_size, dtype.itemsize))[:] = code
        values.append(code)
    return frame, values


@pytest.mark.parametrize(
    ("pixel_format", "bits", "expected"),
    [
        ("yuv420p", 8, vs.YUV420P8),
        ("yuvj422p", 8, vs.YUV422P8),
        ("yuv420p10le", 10, vs.YUV420P10),
        ("yuv422p12le", 12, vs.YUV422P12),
        ("yuv444p16le", 16, vs.YUV444P16),
        ("yuva420p", 8, vs.YUV420P8),
        ("gray", 8, vs.GRAY8),
        ("gray16le", 16, vs.GRAY16),
        ("yuv440p", 8, vs.YUV440P8),
    ],
)
def test_planar(pixel_format: str, bits: int, expected: int) -> None:
    frame, values = random_frame(pixel_format, bits)
    layout = layout_of(pixel_format)
    assert layout.format_id == expected
    assert layout.has_alpha == pixel_format.startswith("yuva")
    planes = layout.planes(frame)
    assert len(planes) == (1 if pixel_format.startswith("gray") else 3)
    for plane, code in zip(planes, values, strict=False):
        np.testing.assert_array_equal(plane, code)


@pytest.mark.parametrize("pixel_format", ["gbrp", "gbrp10le", "gbrp12le", "gbrap16le"])
def test_planar_rgb_comes_as_red_green_blue(pixel_format: str) -> None:
    bits = int("".join(filter(str.isdigit, pixel_format)) or 8)
    frame, (green, blue, red, *_) = random_frame(pixel_format, bits)
    for plane, code in zip(layout_of(pixel_format).planes(frame), (red, green, blue), strict=True):
        np.testing.assert_array_equal(plane, code)


@pytest.mark.parametrize(
    ("packed", "planar", "bits"),
    [
        ("nv12", "yuv420p", 8),
        ("nv21", "yuv420p", 8),
        ("p010le", "yuv420p10le", 10),
        ("p010be", "yuv420p10le", 10),
        ("p016le", "yuv420p16le", 16),
        ("p210le", "yuv422p10le", 10),
        ("yuyv422", "yuv422p", 8),
        ("uyvy422", "yuv422p", 8),
        ("y210le", "yuv422p10le", 10),
        ("yuv420p10be", "yuv420p10le", 10),
        ("gray16be", "gray16le", 16),
        ("ya8", "gray", 8),
    ],
)
def test_other_layouts_hold_the_same_values(packed: str, planar: str, bits: int) -> None:
    frame, values = random_frame(planar, bits)
    layout = layout_of(packed)
    assert layout.format_id == layout_of(planar).format_id
    converted = frame.reformat(format=packed, threads=1)  # rows of several threads overwrite each other in FFmpeg
    for plane, code in zip(layout.planes(converted), values, strict=True):
        np.testing.assert_array_equal(plane, code)
        assert plane.dtype == code.dtype


@pytest.mark.parametrize(
    "pixel_format", ["rgb24", "bgr24", "rgba", "bgra", "argb", "abgr", "rgb48le", "rgb48be", "rgba64be", "bgr48le"]
)
def test_packed_rgb(pixel_format: str) -> None:
    channels = 4 if "a" in pixel_format else 3
    dtype = np.uint16 if any(depth in pixel_format for depth in ("48", "64")) else np.uint8
    pixels = np.random.default_rng(2).integers(0, np.iinfo(dtype).max + 1, (*SIZE[::-1], channels)).astype(dtype)
    frame = av.VideoFrame.from_ndarray(pixels, pixel_format)
    for plane, letter in zip(layout_of(pixel_format).planes(frame), "rgb", strict=True):
        np.testing.assert_array_equal(plane, pixels[..., pixel_format.index(letter)])
        assert plane.dtype == dtype


def test_palette() -> None:
    palette = np.random.default_rng(3).integers(0, 256, (256, 4)).astype(np.uint8)  # alpha, red, green, blue
    indices = np.random.default_rng(4).integers(0, 256, SIZE[::-1]).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray((indices, palette), "pal8")
    for channel, plane in enumerate(layout_of("pal8").planes(frame)):
        np.testing.assert_array_equal(plane, palette[indices, channel + 1])


def test_float_stays_float() -> None:
    pixels = np.random.default_rng(5).random((*SIZE[::-1], 3), np.float32)
    layout = layout_of("gbrpf32le")
    assert layout.format_id == vs.RGBS
    frame = av.VideoFrame.from_ndarray(pixels, "gbrpf32le")
    np.testing.assert_array_equal(np.stack(layout.planes(frame), axis=-1), pixels)


@pytest.mark.parametrize("pixel_format", ["bayer_rggb8", "xyz12le", "cuda", "gray32le"])
def test_formats_without_a_counterpart_are_refused(pixel_format: str) -> None:
    with pytest.raises(ValueError, match=f"{pixel_format} has no counterpart"):
        layout_of(pixel_format)
