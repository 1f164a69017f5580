"""From FFmpeg's pixel formats to VapourSynth's planes, without touching a single code value.

Nearly all formats are read as numpy views into the decoder's memory: nothing is scaled, so nothing can be rounded. Only
packed formats below 8 bits per component go through libswscale, which widens them to 8 bits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
import vapoursynth as vs
from av.video.format import VideoFormat
from av.video.plane import VideoPlane
from numpy.typing import NDArray

from vshdr.errors import InputError

# Order of the samples of one pixel, for formats that keep all components in one plane and do not subsample.
_PACKED = re.compile(r"(?P<order>0?(?:rgb|bgr)[a0]?|argb|abgr|ya|gray)\d*(?:f16|f32)?(?:le|be)?")
# Offsets of Y, U and V inside a group of two pixels.
_PACKED_422 = {"yuyv": (0, 1, 3), "yvyu": (0, 3, 1), "uyvy": (1, 0, 2), "y2": (0, 1, 3)}
_SEMI_PLANAR = re.compile(r"(nv(?P<nv>\d\d)|p[024]1[026])(?:le|be)?")
_BELOW_8_BIT = re.compile(r"mono[wb]|(rgb|bgr)(4|8|4_byte|444|555|565)(le|be)?")


@dataclass(frozen=True, kw_only=True)
class _View:
    """Where one component lies: in every `step`-th sample of a plane from `offset` on, `shift` bits up."""

    plane: int
    step: int = 1
    offset: int = 0
    shift: int = 0


@dataclass(frozen=True, kw_only=True)
class PixelLayout:
    """How the planes of one FFmpeg pixel format are found in its frames."""

    name: str
    """FFmpeg's name of the format."""
    format_id: int
    """VapourSynth's format of the same family, subsampling and depth."""
    rgb: bool
    """True for RGB, False for YUV and grey."""
    subsampling: tuple[int, int]
    """log2 of the chroma subsampling, horizontally and vertically."""
    has_alpha: bool
    """True where the format carries alpha, which is left behind."""
    _views: tuple[_View, ...]
    _dtype: np.dtype

    def planes(self, frame: av.VideoFrame) -> list[NDArray[Any]]:
        """Return the planes of `frame` in VapourSynth's order.

        They are views that keep it alive, or copies where bytes have to be swapped or bits shifted.
        """
        if self.name == "pal8":
            return _palette_planes(frame)
        if _BELOW_8_BIT.fullmatch(self.name):
            # One thread: several would write beyond their rows, into rows that others have finished.
            frame = frame.reformat(format="gbrp" if self.rgb else "gray", threads=1)
        planes = []
        for number, view in enumerate(self._views):
            subsampled = number > 0 and not self.rgb
            width = -(-frame.width >> self.subsampling[0]) if subsampled else frame.width
            height = -(-frame.height >> self.subsampling[1]) if subsampled else frame.height
            samples = _rows(frame.planes[view.plane], height, self._dtype)[:, view.offset :: view.step][:, :width]
            if view.shift:
                samples = samples >> view.shift
            planes.append(samples.astype(self._dtype.newbyteorder("="), copy=False))
        return planes


def layout_of(name: str) -> PixelLayout:
    """Return the layout of FFmpeg's pixel format `name`.

    Raise InputError for a format without an equivalent in VapourSynth (Bayer, XYZ, 32-bit integers, frames on a GPU).
    """
    pixel_format = VideoFormat(name, 64, 64)
    components = [component for component in pixel_format.components if not component.is_alpha]
    if name == "pal8" or _BELOW_8_BIT.fullmatch(name):
        rgb = name == "pal8" or pixel_format.is_rgb
        order = (2, 0, 1) if rgb else (0,)  # gbrp stores G, B, R
        return _layout(
            name, rgb, 8, False, (0, 0), tuple(_View(plane=plane) for plane in order), has_alpha=name == "pal8"
        )
    views = _views(name, pixel_format)
    bits, is_float = (components[0].bits if components else 0), re.search(r"f(16|32)(le|be)?$", name) is not None
    if views is None or len(components) not in (1, 3) or not (is_float or 8 <= bits <= 16):
        raise InputError(
            f"pixel format {name} has no counterpart here; convert the clip to YUV, RGB or grey of 8 to 16 bits"
        )
    subsampling = (0, 0)
    if len(components) == 3 and not pixel_format.is_rgb:
        chroma = components[1]
        subsampling = (64 // chroma.width).bit_length() - 1, (64 // chroma.height).bit_length() - 1
    return _layout(
        name,
        pixel_format.is_rgb,
        bits,
        is_float,
        subsampling,
        views,
        has_alpha=len(components) < len(pixel_format.components),
        big_endian=pixel_format.is_big_endian,
    )


def _layout(
    name: str,
    rgb: bool,
    bits: int,
    is_float: bool,
    subsampling: tuple[int, int],
    views: tuple[_View, ...],
    *,
    has_alpha: bool,
    big_endian: bool = False,
) -> PixelLayout:
    family = vs.RGB if rgb else vs.YUV if len(views) == 3 else vs.GRAY
    format_id = vs.core.query_video_format(family, vs.FLOAT if is_float else vs.INTEGER, bits, *subsampling).id
    kind = f"f{bits // 8}" if is_float else "u1" if bits == 8 else "u2"
    dtype = np.dtype(kind).newbyteorder(">" if big_endian else "<")
    return PixelLayout(
        name=name,
        format_id=format_id,
        rgb=rgb,
        subsampling=subsampling,
        has_alpha=has_alpha,
        _views=views,
        _dtype=dtype,
    )


def _views(name: str, pixel_format: VideoFormat) -> tuple[_View, ...] | None:
    """Return the place of each component but alpha, in the order R, G, B or Y, U, V; None for a format
    not known here.
    """
    components = [component for component in pixel_format.components if not component.is_alpha]
    if pixel_format.is_bayer or not components or name.startswith("xyz"):
        return None
    bits = components[0].bits
    at_the_top = "msb" in name or (name[0] in "py" and name[1:3] in ("01", "21", "41"))  # low bits of 16 are padding
    shift = 16 - bits if at_the_top else 0
    if pixel_format.is_planar and len({component.plane for component in components}) == len(components):
        return tuple(_View(plane=component.plane, shift=shift) for component in components)
    if match := _SEMI_PLANAR.fullmatch(name):
        swapped = match["nv"] in ("21", "42")
        return (
            _View(plane=0, shift=shift),
            _View(plane=1, step=2, offset=int(swapped), shift=shift),
            _View(plane=1, step=2, offset=int(not swapped), shift=shift),
        )
    if match := re.fullmatch(r"(?:(yuyv|yvyu|uyvy)422|(y2)1[026](?:le|be))", name):
        y, u, v = _PACKED_422[match[1] or match[2]]
        return (
            _View(plane=0, step=2, offset=y, shift=shift),
            _View(plane=0, step=4, offset=u, shift=shift),
            _View(plane=0, step=4, offset=v, shift=shift),
        )
    if match := _PACKED.fullmatch(name):
        order = {"gray": "y"}.get(match["order"], match["order"])
        wanted = "rgb" if pixel_format.is_rgb else "y"
        return tuple(_View(plane=0, step=len(order), offset=order.index(letter)) for letter in wanted)
    return None


def _rows(plane: VideoPlane, height: int, dtype: np.dtype) -> NDArray[Any]:
    """Return all samples of a plane, padding included, as `height` rows from the top one down."""
    stride = plane.line_size
    rows = np.ndarray(
        (height, abs(stride) // dtype.itemsize), dtype, buffer=plane, strides=(abs(stride), dtype.itemsize)
    )
    return rows[::-1] if stride < 0 else rows  # a bottom-up picture: PyAV's buffer begins at its lowest address


def _palette_planes(frame: av.VideoFrame) -> list[NDArray[Any]]:
    """Return R, G and B of a palette frame; FFmpeg keeps a palette as 256 native-endian words 0xAARRGGBB."""
    palette = np.frombuffer(frame.planes[1], np.uint32, 256)
    indices = _rows(frame.planes[0], frame.height, np.dtype(np.uint8))[:, : frame.width]
    return [(palette >> shift).astype(np.uint8)[indices] for shift in (16, 8, 0)]
