"""What `core.hdr.Expand` decides for one clip, and the frames of that clip through the Expander."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
import vapoursynth as vs
from torch import Tensor

from vshdr.errors import InputError
from vshdr.expand.device_batches import DeviceBatches, plane_conversion, takes_planes
from vshdr.expand.expander import Expander
from vshdr.media.delivery import Delivery
from vshdr.media.signal import Signal, input_properties, sdr_arguments, signal_of
from vshdr.options.declare import check, option
from vshdr.options.expand import ExpandOptions
from vshdr.plugin.bridge import Neighbour, Plane
from vshdr.plugin.neighbours import Neighbours
from vshdr.plugin.planes import read_planes, samples, write_planes
from vshdr.runtime.memory import Trimmer
from vshdr.temporal.transitions import LOOK


@dataclass(frozen=True, kw_only=True)
class ClipOptions:
    """The arguments of `core.hdr.Expand` beside `ExpandOptions`."""

    output: str = option(
        "linear", "linear light, pq (SMPTE ST 2084) or hlg (ARIB STD-B67)", choices=("linear", "pq", "hlg")
    )
    format: int = option(
        0, "VapourSynth format id of the output; 0 is RGBS for linear and YUV420P10 for pq and hlg", low=0
    )
    dither: str = option("ordered", "dither of pq and hlg", choices=("none", "ordered", "random", "error_diffusion"))
    prefetch: int = option(1, "batches that are decoded ahead of the network, 0 to 16", low=0, high=16)
    allow_hdr: int = option(0, "1 takes a clip labelled PQ or HLG for SDR all the same", low=0, high=1)

    def __post_init__(self) -> None:
        check(self)


# Properties of a source that do not hold for what comes out: linear RGB has no chroma samples to be placed, and light
# levels and dynamic metadata belong to another picture.
REMOVED = (
    "_ChromaLocation",
    "MasteringDisplayPrimariesX",
    "MasteringDisplayPrimariesY",
    "MasteringDisplayWhitePointX",
    "MasteringDisplayWhitePointY",
    "MasteringDisplayMinLuminance",
    "MasteringDisplayMaxLuminance",
    "ContentLightLevelMax",
    "ContentLightLevelAverage",
    "DolbyVisionRPU",
    "HDR10Plus",
)


class ExpandedClip:
    """One call of `core.hdr.Expand`.

    `clip` has format (a VapourSynth format id), colour_family, width, height and frames; `arguments` are those that the
    user gave; `properties` are the first frame's. Raise InputError, OSError or RuntimeError with one sentence for the
    user.
    """

    def __init__(self, clip: Mapping[str, int], arguments: Mapping[str, Any], properties: Mapping[str, Any]) -> None:
        self._clip = clip
        self.options = ClipOptions(**_chosen(ClipOptions, arguments))
        self._signal = self._describe(properties)
        self._expander = Expander(**_chosen(ExpandOptions, arguments), eotf=self._signal.eotf)
        chosen = self._expander.options
        self._delivery = Delivery(
            output=self.options.output,
            format=self.options.format,
            white=chosen.white,
            peak=chosen.peak,
            dither=self.options.dither,
        )
        self._refuse_odd_sizes()
        self._device_batches = self._find_device_batches(properties)
        if not self._device_batches:
            self._expander.choose_batch(clip["width"], clip["height"])
            longest_batch = min(self._expander.batch, clip["frames"])
            self._sdr = torch.empty(longest_batch, 3, clip["height"], clip["width"])
            self._expanded = torch.empty_like(self._sdr)
        self._neighbours = Neighbours(self._expander)
        self._trimmer = Trimmer()

    def _find_device_batches(self, properties: Mapping[str, Any]) -> DeviceBatches | None:
        """Return what carries the clip's planes to a GPU and brings what is delivered back, where all is done there."""
        clip, expander = self._clip, self._expander
        if not takes_planes(expander):
            return None
        way = plane_conversion(
            clip["format"], (clip["width"], clip["height"]), self._signal, properties, self._delivery
        )
        if way is None:
            return None
        return DeviceBatches.largest(expander, way)

    def _describe(self, properties: Mapping[str, Any]) -> Signal:
        return signal_of(properties, rgb=self._clip["colour_family"] == vs.RGB, allow_hdr=bool(self.options.allow_hdr))

    def _refuse_odd_sizes(self) -> None:
        preset = vs.PresetVideoFormat(self._delivery.format_id)
        subsampling_w, subsampling_h = preset >> 8 & 0xFF, preset & 0xFF
        width, height = self._clip["width"], self._clip["height"]
        if width % (1 << subsampling_w) or height % (1 << subsampling_h):
            raise InputError(
                f"{preset.name} needs even sides, and the clip is {width}x{height}; crop or pad it, or take a "
                "4:4:4 format such as vs.YUV444P10"
            )

    def settings(self) -> dict[str, dict[str, Any]]:
        """Return the flat tables that C needs, by the names of `bridge.Group`."""
        batch, prefetch, radius = self._expander.batch, self.options.prefetch, self._expander.options.smooth
        reach = radius + LOOK  # to know where the shots of the frames within the radius begin
        # Requests for as many frames as there are threads are under way at a time, and share what they need.
        shared = self._clip["threads"] if radius else 0
        to_sdr = sdr_arguments(self._signal)
        to_delivery = self._delivery.resize_arguments()
        linear = self._delivery.prepared_properties(self._signal.working_primaries) | self._delivery.properties()
        if self._device_batches:
            to_sdr, to_delivery, linear = {}, {}, self._delivery.described()
        return {
            # The cache holds the batch in the making and those ahead; one more lets requests run out of order.
            "SETTING": {
                "batch": batch,
                "prefetch": prefetch,
                "cache": (prefetch + 2) * batch + (2 * reach + shared if radius else 0),
                # The batch that is being handed out, and its neighbour for requests that are out of order.
                "carriers": 2 + math.ceil((2 * radius + shared) / batch),
                "radius": radius,
                "reach": reach if radius else 0,
                "format": self._delivery.format_id if self._device_batches else int(vs.RGBS),
                "side_by_side": int(self._device_batches is not None),
            },
            "SOURCE": input_properties(self._signal),
            "TO_SDR": {} if to_sdr == {"format": self._clip["format"]} else to_sdr,
            "LINEAR": linear,
            "REMOVED": dict.fromkeys(REMOVED, 0),
            "DELIVERY": {} if to_delivery == {"format": int(vs.RGBS)} else to_delivery,
        }

    def check(self, properties: Mapping[str, Any]) -> None:
        """Raise InputError if a frame with `properties` means other colours than the first frame."""
        signal = self._describe(properties)
        if signal == self._signal:
            return
        first, here = input_properties(self._signal), input_properties(signal)
        changes = ", ".join(f"{key} from {first[key]} to {here[key]}" for key in first if first[key] != here[key])
        raise InputError(f"the colour description changes within the clip ({changes}); bring all frames to one first")

    def infer(self, planes: Sequence[Plane], frames: int, width: int, height: int) -> None:
        """Expand a batch: reads `planes[3 * i + c].sdr` and writes `.linear` of frame i and channel c; with smoothing
        that is the gain, and where a device converts planes, what is delivered.

        Where planes are not converted on a device, C never runs two batches of one clip at a time, so two tensors serve
        them all: fresh memory of this size costs more than filling it.
        """
        if self._device_batches:
            self._carry(planes, frames)
            return
        sdr, expanded = self._sdr[:frames], self._expanded[:frames]
        for i in range(frames):
            read_planes(planes[3 * i : 3 * i + 3], "sdr", sdr[i])
        if self._expander.options.smooth:
            self._expander.gain(sdr, expanded)
        else:
            expanded = self._prepared(self._expander.expand(sdr, expanded))
        for i in range(frames):
            write_planes(planes[3 * i : 3 * i + 3], expanded[i])
        self._trimmer.count(expanded.nbytes)

    def _prepared(self, linear: Tensor) -> Tensor:
        return self._delivery.prepare(linear, self._signal.working_primaries)

    def _carry(self, planes: Sequence[Plane], frames: int) -> None:
        groups = [planes[3 * i : 3 * i + 3] for i in range(frames)]
        source, delivered = self._device_batches.conversion.source, self._device_batches.conversion.delivered
        load = self._device_batches.send(
            [samples(group, "sdr", source.shapes(), source.numpy_dtype) for group in groups]
        )
        for group, (results, _) in zip(groups, load.frames(), strict=True):
            for target, result in zip(
                samples(group, "linear", delivered.shapes(), delivered.numpy_dtype), results, strict=True
            ):
                np.copyto(target, result)

    def smooth(self, number: int, window: Sequence[Neighbour], out: Sequence[Plane], width: int, height: int) -> None:
        """Write the linear light of frame `number` into `out`, smoothed over the frames of `window`."""
        gain_frames = self._neighbours.gain_frames(number, window, (3, height, width))
        write_planes(out[:3], self._prepared(self._expander.smooth(number, gain_frames)[None])[0])
        self._trimmer.count(3 * len(window) * width * height * 4)


def _chosen(options: type, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the arguments that are fields of `options`. An array of one value has come as a bare number."""
    chosen = {}
    for field in fields(options):
        if field.name in arguments:
            value = arguments[field.name]
            if isinstance(field.default, tuple):
                value = tuple(value if isinstance(value, list) else [value])
            chosen[field.name] = value
    return chosen
