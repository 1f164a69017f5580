"""What a decoded frame says about its clip: size, layout, colour description, orientation."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple, TypedDict

import av
import numpy as np
from av.sidedata.sidedata import Type as SideDataType

from vshdr.colour.h273 import ChromaLocation, ColourRange, Matrix
from vshdr.errors import InputError
from vshdr.media.read.pixels import PixelLayout, layout_of
from vshdr.media.read.source import Orientation, Source
from vshdr.media.signal import Signal, input_properties, signal_of


class FrameFormat(NamedTuple):
    """What has to stay the same in all frames of a clip."""

    width: int
    height: int
    pixel_format: str
    """FFmpeg's name; "cuda" for a frame that a GPU has decoded."""
    matrix: int
    transfer: int
    primaries: int
    colour_range: int
    """FFmpeg's AVColorRange."""

    @property
    def colour_tags(self) -> tuple[int, int, int, int]:
        """Matrix, transfer, primaries, range."""
        return self.matrix, self.transfer, self.primaries, self.colour_range

    def __str__(self) -> str:
        return f"{self.width}x{self.height} {self.pixel_format}"


class FirstFrameFields(TypedDict):
    """The fields of an image or video source that its first frame tells."""

    name: str
    layout: PixelLayout
    format_id: int
    subsampling: tuple[int, int]
    look: FrameFormat
    stored_width: int
    stored_height: int
    signal: Signal
    properties: dict[str, int]
    orientation: Orientation
    sample_aspect_ratio: Fraction


def format_of(frame: av.VideoFrame) -> FrameFormat:
    """Return the `FrameFormat` of a decoded frame."""
    return FrameFormat(
        width=frame.width,
        height=frame.height,
        pixel_format=frame.format.name,
        matrix=int(frame.colorspace),
        transfer=int(frame.color_trc),
        primaries=int(frame.color_primaries),
        colour_range=int(frame.color_range),
    )


def describe_first_frame(
    frame: av.VideoFrame, name: str, *, aspect: Fraction, allow_hdr: bool, defaults: dict[str, int] | None = None
) -> FirstFrameFields:
    """Return the fields of a source that a decoded frame tells.

    `aspect` is the sample aspect ratio as stored; `defaults` are frame properties for what the frame leaves
    unspecified. Raise InputError for a pixel format without a counterpart and for a clip that already is HDR.
    """
    try:
        layout = layout_of(frame.format.name)
        properties = {**(defaults or {}), **tagged_properties(frame, layout)}
        signal = signal_of(properties, rgb=layout.rgb, allow_hdr=allow_hdr)
    except ValueError as error:
        raise InputError(f"{name}: {error}") from None
    location = {"_ChromaLocation": properties["_ChromaLocation"]} if "_ChromaLocation" in properties else {}
    orientation = orientation_of(frame)
    return FirstFrameFields(
        name=name,
        layout=layout,
        format_id=layout.format_id,
        subsampling=layout.subsampling,
        look=format_of(frame),
        stored_width=frame.width,
        stored_height=frame.height,
        signal=signal,
        properties={**input_properties(signal), **location},
        orientation=orientation,
        sample_aspect_ratio=1 / aspect if orientation.transpose else aspect,
    )


def tagged_properties(frame: av.VideoFrame, layout: PixelLayout) -> dict[str, int]:
    """Return the frame's colour tags as VapourSynth's frame properties; tags that say nothing are left out."""
    tags = {"_Transfer": int(frame.color_trc), "_Primaries": int(frame.color_primaries)}
    if not layout.rgb:
        tags["_Matrix"] = int(frame.colorspace)  # 0 is RGB: no statement about YUV or grey
    properties = {name: value for name, value in tags.items() if value not in (0, Matrix.UNSPECIFIED)}
    colour_range = ColourRange.from_ffmpeg(frame.color_range)
    if layout.rgb or layout.name.startswith("yuvj"):
        # Files hold RGB in full range whatever their tags say, and players take it so. The j says full range, too.
        colour_range = ColourRange.FULL
    if colour_range is not None:
        properties["_Range"] = colour_range
    location = ChromaLocation.from_ffmpeg(frame.chroma_location)
    if layout.subsampling != (0, 0) and location is not None:
        properties["_ChromaLocation"] = location
    return properties


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """Return the orientation from a frame's display matrix (ISO/IEC 14496-12, 6.2.2), to the nearest quarter turn."""
    side_data = frame.side_data.get(SideDataType.DISPLAYMATRIX)
    if side_data is None:
        return Orientation()
    # x' = a x + c y, y' = b x + d y
    a, b, _, c, d, *_ = (int(value) for value in np.frombuffer(bytes(side_data), np.int32))
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(transpose=True, flip_horizontally=c < 0, flip_vertically=b < 0)
    return Orientation(flip_horizontally=a < 0, flip_vertically=d < 0)


def note_first_frame(source: Source, layout: PixelLayout) -> None:
    """Note what happens to the alpha and the rotation of a source's frames."""
    if layout.has_alpha:
        source.note("alpha", "alpha is dropped; colours are used as stored")
    if source.orientation != Orientation():
        source.note("rotation", "the picture is turned upright, as the file says")
