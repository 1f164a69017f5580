"""What a user may choose about the files of a conversion."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypedDict

from vshdr.errors import InputError
from vshdr.options.declare import EXPERIMENTAL, check, option
from vshdr.options.expand import ExpandKeywords


class ConvertFileKeywords(TypedDict, total=False):
    """The fields of `ConvertOptions` as keyword arguments, for editors and type checkers."""

    transfer: str
    codec: str
    crf: float | None
    preset: str
    pixel_format: str
    encoder_options: str
    dither: str
    exr_type: str
    exr_compression: str
    exr_start: int
    resume: bool
    overwrite: bool
    preview: int
    preview_dir: str
    frame_rate: float
    allow_hdr: bool
    hardware_decode: bool
    devices: str


class ConvertKeywords(ExpandKeywords, ConvertFileKeywords, total=False):
    """Keyword arguments of `convert`: the fields of `ExpandOptions` and of `ConvertOptions`."""


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """What a user may choose about files. The command line and Python share names and defaults."""

    transfer: str = option(
        "pq", "curve of HDR video: pq is HDR10, hlg needs a peak of at most 1000", choices=("pq", "hlg")
    )
    codec: str = option("x265", "encoder of HDR video", choices=("x265", "svtav1", "prores", "ffv1"))
    crf: float | None = option(
        None, "quality of x265 (default 18) and svtav1 (default 24); smaller is better and larger", low=0.0, high=63.0
    )
    preset: str = option("", "speed of x265 (default medium) and svtav1 (default 6), in the encoder's own words")
    pixel_format: str = option(
        "",
        "FFmpeg's name for the pixels of HDR video, such as yuv420p10le or yuv444p12le; empty for "
        "the codec's usual one",
    )
    encoder_options: str = option("", "more options for the encoder, as key=value:key=value")
    dither: str = option(
        "ordered", "dither of HDR video's integer codes", choices=("none", "ordered", "random", "error_diffusion")
    )
    exr_type: str = option("half", "number format of EXR", choices=("half", "float"))
    exr_compression: str = option(
        "zip",
        "compression of EXR; dwaa and dwab lose a little",
        choices=("none", "rle", "zips", "zip", "piz", "pxr24", "dwaa", "dwab"),
    )
    exr_start: int = option(1001, "number of an EXR sequence's first frame", low=0, high=99_999_999)
    resume: bool = option(False, "keep the EXR frames that an interrupted run finished, after reading each one back")
    overwrite: bool = option(False, "replace outputs that exist")
    preview: int = option(
        0, "number of preview PNGs: SDR, tone-mapped HDR and a map of nits side by side", low=0, high=1000
    )
    preview_dir: str = option("", "folder of the previews; empty for one beside the first output")
    frame_rate: float = option(0.0, "frames per second of an image sequence; 0 for 24", low=0.0, high=1000.0)
    allow_hdr: bool = option(False, "take a clip labelled PQ or HLG for SDR all the same")
    hardware_decode: bool = option(
        False,
        f"decode 4:2:0 video on the GPU, where frames then stay; for video outputs without smooth ({EXPERIMENTAL})",
    )
    devices: str = option(
        "", f"CUDA devices that share the work, such as 0,1; empty for the one of device_index ({EXPERIMENTAL})"
    )

    def __post_init__(self) -> None:
        check(self)
        if not re.fullmatch(r"(\d+(,\d+)*)?", self.devices):
            raise InputError(f"devices must be numbers with commas between, such as 0,1, not '{self.devices}'")
