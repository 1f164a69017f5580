"""VapourSynth's `core` with types for what vshdr adds to it.

VapourSynth learns of its functions when it runs, so editors and type checkers know none of them. With this import they
know `core.hdr`; at run time it is the same core:

    from vshdr.plugin.core import core

    core.hdr.Expand(clip, output="pq").set_output()

For all of VapourSynth, the package vsstubs (PyPI) writes stubs of the plugins that are installed, this one included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

import vapoursynth as vs


class Hdr(Protocol):
    """The functions of `core.hdr`. A test compares them with what the plugin registers."""

    def Expand(
        self,
        clip: vs.VideoNode,
        gamma: float = 1.0,
        model: str = "",
        weights: str = "",
        output: str = "linear",
        format: int = 0,
        white: float = 203.0,
        peak: float = 1000.0,
        strength: float = 1.0,
        smooth: int = 0,
        smooth_mode: str = "gain",
        dither: str = "ordered",
        device: str = "auto",
        device_index: int = 0,
        precision: str = "auto",
        fuse: int = 0,
        batch: int = 0,
        tile: Sequence[int] = (0, 0),
        overlap: int = -1,
        prefetch: int = 1,
        allow_hdr: int = 0,
    ) -> vs.VideoNode:
        """Return the clip in HDR. `ExpandOptions` and `ClipOptions` in `vshdr.options` describe the arguments."""
        ...

    def Flicker(self, clip: vs.VideoNode, sdr: vs.VideoNode) -> vs.VideoNode:
        """Return the clip, which was made from `sdr`, with properties that say how much each frame flickers."""
        ...

    def Version(self) -> dict[str, Any]:
        """Return the versions of vshdr, VapourSynth and its API, and of Python and torch where they are loaded."""
        ...


class Functions(Protocol):
    """A namespace whose functions are not described here, such as `core.std`."""

    def __getattr__(self, name: str) -> Callable[..., vs.VideoNode]: ...


if TYPE_CHECKING:
    # From the module that has the stub: strict type checkers look into no other, as the package is not marked as typed.
    from vapoursynth.vapoursynth import Core as VapourSynthCore

    class Core(VapourSynthCore):
        """VapourSynth's core with the namespaces that are used here."""

        hdr: Hdr
        std: Functions
        resize: Functions


core: Core = cast("Core", vs.core)
