"""The video encoders that vshdr offers: what each can hold, where it can go, and its defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_ALL_FORMATS = tuple(f"yuv{sampling}p{depth}le" for depth in (10, 12) for sampling in (420, 422, 444))


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """One encoder: a row of `ENCODERS`."""

    name: str
    """FFmpeg's name of the encoder."""
    pixel_formats: tuple[str, ...]
    """FFmpeg's names of the pixel formats that it takes, the default first."""
    containers: tuple[str, ...]
    """Suffixes of the files it can go into."""
    smallest: int = 1
    """The least width and height of a frame, in samples."""
    broken_widths: range = range(0)
    """Widths at which the encoder fails."""
    crf: float | None = None
    """Default constant rate factor; None for an encoder that has none."""
    preset: str = ""
    """Default preset; empty for an encoder that has none."""
    parameters: str = ""
    """The AVOption that takes the encoder's own parameters, for those that have one."""
    options: Mapping[str, str] = field(default_factory=dict)
    """AVOptions that are set unless the user sets them."""


ENCODERS: dict[str, Encoder] = {
    "x265": Encoder(
        name="libx265",
        pixel_formats=_ALL_FORMATS,
        containers=(".mkv", ".mp4", ".mov"),
        smallest=16,
        broken_widths=range(33, 49),  # x265 4.3 corrupts its memory at these, whatever the height
        crf=18.0,
        preset="medium",
        parameters="x265-params",
    ),
    "svtav1": Encoder(
        name="libsvtav1",
        pixel_formats=("yuv420p10le",),
        containers=(".mkv", ".mp4"),
        smallest=16,
        crf=24.0,
        preset="6",
        parameters="svtav1-params",
    ),
    "prores": Encoder(
        name="prores_ks",
        pixel_formats=("yuv422p10le", "yuv444p10le"),
        containers=(".mov", ".mkv"),
        options={"vendor": "apl0"},
    ),
    "ffv1": Encoder(
        name="ffv1",
        pixel_formats=_ALL_FORMATS,
        containers=(".mkv",),
        options={"level": "3", "slices": "24", "slicecrc": "1"},
    ),
}
"""The encoders by the names that the options give them."""
CONTAINERS = (".mkv", ".mp4", ".mov")
"""Suffixes of the files that video can be written to."""
DEFAULT_PIXEL_FORMAT = {codec: encoder.pixel_formats[0] for codec, encoder in ENCODERS.items()}
"""FFmpeg's name of the pixel format that each codec gets unless another is asked for."""
