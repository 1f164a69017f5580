"""Reading a VapourSynth script: its first output becomes the source."""

from __future__ import annotations

import contextlib
import runpy
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import vapoursynth as vs

from vshdr.errors import InputError
from vshdr.media.read.source import Frame, Source, file_digest
from vshdr.media.signal import input_properties, signal_of

# Properties beside the colour description that change what `core.resize` makes of a frame.
_LAYOUT_PROPERTIES = ("_ChromaLocation", "_FieldBased")


@dataclass(kw_only=True)
class ScriptSource(Source):
    """The first output of a script. Built by `open_script`."""

    path: Path
    clip: vs.VideoNode
    allow_hdr: bool

    def digest(self) -> str:
        """Return a digest of the script alone, not of the files that it reads."""
        return file_digest(self.path)

    def __iter__(self) -> Iterator[Frame]:
        clock = Fraction(0)
        index = pts = 0
        try:
            for frame in self.clip.frames(prefetch=vs.core.num_threads):
                here = _resize_properties(frame, self.clip, self.allow_hdr)
                if here != self.properties:
                    names = [name for name in here | self.properties if here.get(name) != self.properties.get(name)]
                    raise InputError(
                        f"{self.name}: {', '.join(names)} changes at frame {index}; set it alike on all frames"
                        + ("" if "_FieldBased" not in names else ", deinterlaced ones with core.std.SetFieldBased")
                    )
                clock += _seconds(frame, self.frame_rate)
                end = max(pts + 1, round(clock / self.time_base))
                planes = [np.asarray(frame[number]) for number in range(frame.format.num_planes)]
                change = frame.props.get("_SceneChangePrev")
                yield Frame(
                    index=index,
                    pts=pts,
                    duration=end - pts,
                    planes=planes,
                    scene_change=None if change is None else bool(change),
                )
                index, pts = index + 1, end
        except vs.Error as error:
            raise InputError(f"{self.name}: frame {index}: {last_line(error)}") from None


def open_script(path: Path, *, allow_hdr: bool = False) -> ScriptSource:
    """Run the script `path` as vspipe does: in its own folder, with `__name__` set to "__vapoursynth__".

    Raise InputError, one sentence with file and line where the script fails, and where its first output is not a clip
    of one format and size.
    """
    clip = first_output(path)
    try:
        with clip.get_frame(0) as first:
            rate, described = _frame_rate(clip, first), signal_of(first.props, rgb=_is_rgb(clip), allow_hdr=allow_hdr)
            properties = _resize_properties(first, clip, allow_hdr)
            aspect = Fraction(_integer(first, "_SARNum") or 1, _integer(first, "_SARDen") or 1)
    except (vs.Error, ValueError) as error:
        raise InputError(f"{path.name}: {last_line(error)}") from None
    return ScriptSource(
        name=path.name,
        path=path,
        clip=clip,
        allow_hdr=allow_hdr,
        format_id=clip.format.id,
        stored_width=clip.width,
        stored_height=clip.height,
        subsampling=(clip.format.subsampling_w, clip.format.subsampling_h),
        signal=described,
        properties=properties,
        time_base=_time_base(rate),
        frame_rate=rate,
        frame_count=clip.num_frames,
        sample_aspect_ratio=aspect,
    )


def first_output(path: Path) -> vs.VideoNode:
    """Return the clip that the script `path` sets as output 0.

    Raise InputError, one sentence with file and line where the script fails, and where there is no clip of one format
    and size.
    """
    vs.clear_outputs()
    try:
        with contextlib.chdir(path.parent):  # scripts name their files from their own folder, as under vspipe
            runpy.run_path(str(path.absolute()), run_name="__vapoursynth__")
        output = vs.get_outputs().get(0)
    except (Exception, SystemExit) as error:
        raise InputError(_where(error, path)) from None
    finally:
        vs.clear_outputs()
    clip = getattr(output, "clip", output)
    if not isinstance(clip, vs.VideoNode):
        raise InputError(f"{path.name}: the script sets no video output; call clip.set_output()")
    # VapourSynth's stub does not know that a clip without one format has None.
    if clip.format is None or not clip.width or not clip.height:  # pyright: ignore[reportUnnecessaryComparison]
        raise InputError(f"{path.name}: the clip changes its format or size; convert it to one first")
    return clip


def _where(error: BaseException, path: Path) -> str:
    """Return the error in one line, with the line of the script that led to it."""
    line = error.lineno if isinstance(error, SyntaxError) else None
    for entry in traceback.extract_tb(error.__traceback__):
        if entry.filename == str(path.absolute()):
            line = entry.lineno
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    place = f"{path.name}:{line}" if line else path.name
    return f"{place}: {type(error).__name__}: {' '.join(message.split())}"


def last_line(error: Exception) -> str:
    """Return the last line of a message: where a script's function failed, VapourSynth puts a traceback before it."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def _is_rgb(clip: vs.VideoNode) -> bool:
    return clip.format.color_family == vs.RGB


def _resize_properties(frame: vs.VideoFrame, clip: vs.VideoNode, allow_hdr: bool) -> dict[str, int]:
    kept = {name: _integer(frame, name) for name in _LAYOUT_PROPERTIES if name in frame.props}
    return {**input_properties(signal_of(frame.props, rgb=_is_rgb(clip), allow_hdr=allow_hdr)), **kept}


def _integer(frame: vs.VideoFrame, name: str) -> int:
    """Return an integer property of a frame; 0 where it has none."""
    value = frame.props.get(name, 0)
    return value if isinstance(value, int) else 0


def _seconds(frame: vs.VideoFrame, frame_rate: Fraction) -> Fraction:
    """Return how long a frame is shown: by its own properties, else by the clip's rate."""
    numerator, denominator = _integer(frame, "_DurationNum"), _integer(frame, "_DurationDen")
    return Fraction(numerator, denominator) if numerator > 0 and denominator > 0 else 1 / frame_rate


def _frame_rate(clip: vs.VideoNode, first: vs.VideoFrame) -> Fraction:
    return clip.fps if clip.fps else 1 / _seconds(first, Fraction(25))  # a rate of 0 means that it varies


def _time_base(rate: Fraction) -> Fraction:
    """Return ticks in which frames of a constant rate last whole numbers; at most 0.1 ms long, for rates that vary."""
    return Fraction(1, rate.numerator * -(-10000 // rate.numerator))
