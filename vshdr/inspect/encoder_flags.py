"""The ffmpeg flags for those who pipe `vspipe -c y4m` into an encoder of their own: y4m carries no description of the
colours and no HDR10 metadata, so ffmpeg has to be told.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import vapoursynth as vs

from vshdr.colour.h273 import HDR_TRANSFERS, Primaries, Transfer
from vshdr.errors import InputError
from vshdr.media.content_light import ContentLightMeter
from vshdr.media.encoder_arguments import ffmpeg_arguments
from vshdr.media.read.hdr_metadata import read_hdr_metadata
from vshdr.media.read.script_source import first_output, last_line

_TRANSFER_NAMES: dict[int, str] = {number: name for name, number in HDR_TRANSFERS.items()}


def encoder_arguments(source: Path, codec: str, *, measure: bool = False) -> list[str]:
    """Return flags for ffmpeg's output that describe what `source` holds.

    `source` is a .vpy script whose first output is PQ or HLG, or an HDR video. A file's light levels are those of its
    metadata; a script's are measured by playing it once if `measure` says so, and otherwise bounded by its peak.
    `codec` is x265 or svtav1. Raise InputError for a source that is not HDR, and what reading it raises.
    """
    if not source.exists():
        raise InputError(f"{source}: there is no such file")
    if source.suffix.lower() != ".vpy":
        return _of_file(source, codec)
    try:
        return _of_script(source, codec, measure)
    except vs.Error as error:
        raise InputError(f"{source.name}: {last_line(error)}") from None


def _of_script(path: Path, codec: str, measure: bool) -> list[str]:
    """Return the flags for a script's first output. Raise vs.Error where one of its frames cannot be made."""
    clip = first_output(path)
    with clip.get_frame(0) as frame:
        transfer = _TRANSFER_NAMES.get(_number(frame, "_Transfer", 0))
        peak = _number(frame, "MasteringDisplayMaxLuminance", 1000.0)
    if transfer is None:
        raise InputError(f'{path.name}: the output is neither PQ nor HLG; use core.hdr.Expand(clip, output="pq")')
    meter = _play(clip) if measure and transfer == "pq" else None  # HLG carries no light levels
    return ffmpeg_arguments(
        codec,
        transfer=transfer,
        peak=peak,
        pixel_format=f"{clip.format.name.lower()}le",
        max_cll=meter.max_cll if meter else None,
        max_fall=meter.max_fall if meter else None,
    )


def _number[Number: (int, float)](frame: vs.VideoFrame, name: str, default: Number) -> Number:
    """Return a property of a frame as the type of `default`, which stands in where there is none."""
    value = frame.props.get(name, default)
    return type(default)(value) if isinstance(value, (int, float)) else default


def _of_file(path: Path, codec: str) -> list[str]:
    """Return the flags for a video file, by its own metadata."""
    metadata = read_hdr_metadata(path)
    transfer = _TRANSFER_NAMES.get(metadata.transfer or 0)
    if transfer is None:
        raise InputError(f"{path.name}: the video is neither PQ nor HLG; convert it first")
    light, display = metadata.content_light, metadata.mastering_display
    return ffmpeg_arguments(
        codec,
        transfer=transfer,
        peak=display.max_luminance if display else 1000.0,
        max_cll=light.max_cll if light else None,
        max_fall=light.max_fall if light else None,
    )


def _play(clip: vs.VideoNode) -> ContentLightMeter:
    """Return the light levels of a PQ clip, after looking at all its frames."""
    nits = clip.resize.Bilinear(  # pyright: ignore[reportAttributeAccessIssue]  the stub of VapourSynth has no plugins
        format=vs.RGBS, transfer=Transfer.LINEAR, primaries=Primaries.BT2020, nominal_luminance=1.0
    )
    meter = ContentLightMeter(white=1.0, primaries=Primaries.BT2020)
    for frame in nits.frames(close=True):
        meter.add(torch.from_numpy(np.stack([np.asarray(frame[plane]) for plane in range(3)])))
    return meter
