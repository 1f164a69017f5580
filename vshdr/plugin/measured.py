"""What `core.hdr.Flicker` decides for one clip, and the measurements of its frames."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
import vapoursynth as vs
from torch import Tensor

from vshdr.colour.h273 import Primaries, Transfer
from vshdr.colour.primaries import convert_primaries
from vshdr.colour.transfer import EOTF
from vshdr.errors import InputError
from vshdr.media.signal import (
    input_properties,
    linear_arguments,
    linear_from,
    sdr_arguments,
    signal_of,
)
from vshdr.metrics.flicker.frame_difference import (
    WHITE,
    EncodedLuminance,
    Reference,
    downscale,
    encode_luminance,
    frame_difference,
    from_source,
)
from vshdr.metrics.flicker.meter import frame_metrics
from vshdr.metrics.flicker.motion import SMALLEST, estimate_motion
from vshdr.plugin.abi import Group, Neighbour
from vshdr.plugin.planes import read_planes
from vshdr.temporal.signature import signature
from vshdr.temporal.transitions import alike

PROPERTIES = {
    "excess": "HdrFlicker",
    "excess_highlights": "HdrFlickerHighlights",
    "jitter_50": "HdrFlickerJitter50",
    "jitter_90": "HdrFlickerJitter90",
    "jitter_99": "HdrFlickerJitter99",
    "pumping": "HdrFlickerPumping",
    "boiling": "HdrFlickerBoiling",
}
"""The frame property of each metric of `frame_metrics`, all in stops per frame.

A property is 0 where its metric has nothing to measure: in the first frame of a shot, in a frame without highlights, or
where nothing stands still.
"""
_WIDEST = 640  # pixels; wider frames are averaged down to this, as in `vshdr flicker`
_KEPT = 3  # frames; each is needed twice, for itself and for the next one


class _Seen(NamedTuple):
    """One frame of both clips, ready to be compared."""

    luminance: EncodedLuminance
    reference: Reference
    code: Tensor


class MeasuredClip:
    """One call of `core.hdr.Flicker`.

    `hdr` describes the clip that is measured and `sdr` the clip it was made from: format (a VapourSynth format id),
    colour_family, width, height and frames. `hdr_properties` and `sdr_properties` are the properties of their first
    frames. Raise InputError with one sentence for the user.
    """

    def __init__(
        self,
        hdr: Mapping[str, int],
        hdr_properties: Mapping[str, Any],
        sdr: Mapping[str, int],
        sdr_properties: Mapping[str, Any],
    ) -> None:
        for what in ("width", "height", "frames"):
            if hdr[what] != sdr[what]:
                raise InputError(f"clip and sdr must be of one size and length; their {what}: {hdr[what]}, {sdr[what]}")
        if min(hdr["width"], hdr["height"]) < SMALLEST:
            raise InputError(f"motion can be followed from {SMALLEST} pixels on, not in {hdr['width']}x{hdr['height']}")
        self._sdr = signal_of(sdr_properties, rgb=sdr["colour_family"] == vs.RGB)
        self._hdr = signal_of(hdr_properties, rgb=hdr["colour_family"] == vs.RGB, allow_hdr=True)
        if not self._hdr.hdr_label and (self._hdr.transfer != Transfer.LINEAR or hdr["format"] != int(vs.RGBS)):
            raise InputError(
                "clip must be linear RGBS (_Transfer=8), PQ (16) or HLG (18); core.hdr.Expand gives all three"
            )
        self._sdr_format = sdr["format"]
        self._frames: dict[int, _Seen] = {}

    def settings(self) -> dict[Group, dict[str, Any]]:
        """Return what C needs to know, by group."""
        to_sdr = sdr_arguments(self._sdr)
        as_it_is = not self._hdr.hdr_label and self._hdr.primaries == Primaries.BT709
        return {
            Group.SOURCE: input_properties(self._sdr),
            Group.TO_SDR: {} if to_sdr == {"format": self._sdr_format} else to_sdr,
            Group.HDR_SOURCE: input_properties(self._hdr) | {"_Transfer": self._hdr.hdr_label or Transfer.LINEAR},
            Group.TO_LINEAR: {} if as_it_is else linear_arguments(self._hdr.hdr_label, WHITE),
        }

    def measure(self, window: Sequence[Neighbour], width: int, height: int) -> dict[str, float]:
        """Return the frame properties of the last frame of `window`. The frame before it comes first, if any."""
        seen = [self._look(neighbour, width, height) for neighbour in window]
        nothing = dict.fromkeys(PROPERTIES.values(), 0.0)
        if len(seen) < 2 or self._cut(window[-1], *seen):
            return nothing
        before, now = seen
        move = estimate_motion(now.reference.guide, before.reference.guide)
        found = frame_difference(now.luminance, before.luminance, now.reference, before.reference, move)
        metrics = frame_metrics(found, now.luminance, now.reference)
        return {name: 0.0 if math.isnan(metrics[key]) else metrics[key] for key, name in PROPERTIES.items()}

    def _cut(self, neighbour: Neighbour, before: _Seen, now: _Seen) -> bool:
        """Return whether a shot begins at `now`: `_SceneChangePrev` of the SDR says so, or, where that is missing, the
        two frames have nothing in common.
        """
        if neighbour.scene_change >= 0:
            return bool(neighbour.scene_change)
        return not alike(signature(before.code), signature(now.code))

    def _look(self, neighbour: Neighbour, width: int, height: int) -> _Seen:
        """Return one frame of both clips. C never measures two frames of one clip at a time, so no lock is needed."""
        if neighbour.number not in self._frames:
            code, linear = (torch.empty(3, height, width) for _ in range(2))
            read_planes(neighbour.sdr, code)
            read_planes(neighbour.expanded, linear)
            linear = linear_from(linear, self._hdr.hdr_label, WHITE)
            shown = EOTF[self._sdr.eotf](code)[None]
            sdr = convert_primaries(shown, self._sdr.working_primaries, Primaries.BT709)
            self._frames[neighbour.number] = _Seen(
                encode_luminance(downscale(linear[None], _WIDEST)), from_source(downscale(sdr, _WIDEST)), code
            )
            if len(self._frames) > _KEPT:
                self._frames.pop(next(iter(self._frames)))
        return self._frames[neighbour.number]
