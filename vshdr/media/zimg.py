"""`core.resize` for planes that do not come from a script, so that colour conversion is the same as in the plugin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import vapoursynth as vs
from numpy.typing import NDArray

from vshdr.errors import InputError


class Resizer:
    """`core.resize.Bilinear(**arguments)` as a function from planes to planes.

    One call converts one frame and returns when it is done; nothing is queued or cached, so memory stays constant. An
    instance serves one thread at a time, any thread; several instances run side by side.
    """

    def __init__(
        self, format_id: int, width: int, height: int, properties: Mapping[str, Any], arguments: Mapping[str, Any]
    ) -> None:
        """Prepare for frames of `width` x `height` in VapourSynth's format `format_id` that carry `properties`.

        Raise InputError where `core.resize` knows no such conversion.
        """
        core: Any = vs.core.core  # Any, as its type stub knows no plugins
        self._environment = vs.get_current_environment()
        self._planes: Sequence[NDArray[Any]] = ()

        def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
            # A new frame is neither cleared nor shared with others, so each sample is written only once.
            frame = core.create_video_frame(format_id, width, height)
            frame.props.update(properties)
            for number, plane in enumerate(self._planes):
                np.copyto(np.asarray(frame[number]), plane)
            return frame

        # A clip of one frame without a cache: each request for frame 0 asks `fill` again.
        blank = core.std.BlankClip(format=format_id, width=width, height=height, length=1, keep=True)
        filled = core.std.ModifyFrame(blank, blank, fill)
        core.std.SetVideoCache(filled, mode=0)
        try:
            self._clip = core.resize.Bilinear(filled, **arguments)
            core.std.SetVideoCache(self._clip, mode=0)
            self(blank_planes(blank))  # zimg chooses its path with the first frame, so a wrong combination fails here
        except vs.Error as error:
            raise InputError(f"core.resize cannot convert this clip: {error}") from None

    def __call__(self, planes: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Convert `planes`, H x W each, in VapourSynth's order. The result is read-only and owned by its arrays."""
        self._planes = planes
        try:
            with self._environment.use():
                frame = self._clip.get_frame(0)
        finally:
            self._planes = ()
        return [np.asarray(frame[number]) for number in range(frame.format.num_planes)]


def blank_planes(clip: vs.VideoNode) -> list[NDArray[Any]]:
    """Return the planes of a clip's first frame."""
    frame = clip.get_frame(0)
    return [np.asarray(frame[number]) for number in range(frame.format.num_planes)]
