"""What `core.hdr.Expand` decides for one clip, and the frames of that clip through the Expander."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch
import vapoursynth as vs
from torch import Tensor

from vshdr.errors import InputError
from vshdr.expand.device_batches import DeviceBatches
from vshdr.expand.expander import Expander
from vshdr.expand.plane_conversion import plane_conversion, takes_planes
from vshdr.media.delivery import Delivery
from vshdr.media.signal import Signal, input_properties, sdr_arguments, signal_of
from vshdr.options.expand import ExpandOptions
from vshdr.options.plugin import ClipOptions
from vshdr.plugin.abi import Group, Neighbour, Plane
from vshdr.plugin.neighbours import Neighbours
from vshdr.plugin.planes import read_planes, samples, write_planes
from vshdr.runtime.memory import Trimmer
from vshdr.temporal.transitions import LOOKAHEAD

# Frame properties of a source that are wrong for its expanded frames: linear RGB has no chroma location, and mastering
# display, light levels and dynamic metadata describe another picture.
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

    `clip` describes the clip: format (a VapourSynth format id), colour_family, width, height and frames, and threads of
    the core. `arguments` are those that the user gave, and `properties` are those of the first frame. Raise InputError,
    OSError or RuntimeError with one sentence for the user.
    """

    def __init__(self, clip: Mapping[str, int], arguments: Mapping[str, Any], properties: Mapping[str, Any]) -> None:
        self._clip = clip
        self.options: ClipOptions = ClipOptions(**_chosen(ClipOptions, arguments))
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
        """Return what converts the clip's planes to the finished output on a GPU; None where `core.resize` has to."""
        clip, expander = self._clip, self._expander
        if not takes_planes(expander):
            return None
        size = clip["width"], clip["height"]
        conversion = plane_conversion(clip["format"], size, self._signal, properties, self._delivery)
        if conversion is None:
            return None
        return DeviceBatches.largest(expander, conversion)

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

    def settings(self) -> dict[Group, dict[str, Any]]:
        """Return what C needs to know, by group."""
        batch, prefetch, radius = self._expander.batch, self.options.prefetch, self._expander.options.smooth
        reach = radius + LOOKAHEAD  # how far to look for the shots of the frames within the radius
        # About as many frames as there are threads are requested at a time. Their windows overlap.
        shared = self._clip["threads"] if radius else 0
        to_sdr = sdr_arguments(self._signal)
        to_delivery = self._delivery.resize_arguments()
        expanded = self._delivery.prepared_properties(self._signal.working_primaries) | self._delivery.properties()
        if self._device_batches:
            to_sdr, to_delivery, expanded = {}, {}, self._delivery.described()
        return {
            # The batch that is being expanded, those decoded ahead, and one more for requests that are out of order.
            Group.SETTING: {
                "batch": batch,
                "prefetch": prefetch,
                "cache": (prefetch + 2) * batch + (2 * reach + shared if radius else 0),
                # The batch that is being handed out, and one more for requests that are out of order.
                "carriers": 2 + math.ceil((2 * radius + shared) / batch),
                "radius": radius,
                "reach": reach if radius else 0,
                "format": self._delivery.format_id if self._device_batches else int(vs.RGBS),
                "side_by_side": int(self._device_batches is not None),
            },
            Group.SOURCE: input_properties(self._signal),
            Group.TO_SDR: {} if to_sdr == {"format": self._clip["format"]} else to_sdr,
            Group.EXPANDED: expanded,
            Group.REMOVED: dict.fromkeys(REMOVED, 0),
            Group.DELIVERY: {} if to_delivery == {"format": int(vs.RGBS)} else to_delivery,
        }

    def check(self, properties: Mapping[str, Any]) -> None:
        """Raise InputError if the colour description in `properties`, of any frame, is not that of the first frame."""
        signal = self._describe(properties)
        if signal == self._signal:
            return
        first, here = input_properties(self._signal), input_properties(signal)
        changes = ", ".join(f"{key} from {first[key]} to {here[key]}" for key in first if first[key] != here[key])
        raise InputError(f"the colour description changes within the clip ({changes}); bring all frames to one first")

    def infer(self, source: Sequence[Plane], target: Sequence[Plane], frames: int, width: int, height: int) -> None:
        """Expand a batch: read `source` and fill `target`, where plane 3 * i + c belongs to frame i and channel c.

        `target` gets linear light, with smoothing the gain, and where a device converts formats, the finished output.
        Where it does not, C never runs two batches of one clip at a time. So the same two tensors serve all batches:
        allocating memory of this size takes longer than filling it.
        """
        if self._device_batches:
            self._convert_on_device(self._device_batches, source, target, frames)
            return
        sdr, expanded = self._sdr[:frames], self._expanded[:frames]
        for i in range(frames):
            read_planes(source[3 * i : 3 * i + 3], sdr[i])
        if self._expander.options.smooth:
            self._expander.gain(sdr, expanded)
        else:
            expanded = self._prepared(self._expander.expand(sdr, expanded))
        for i in range(frames):
            write_planes(target[3 * i : 3 * i + 3], expanded[i])
        self._trimmer.count(expanded.nbytes)

    def _prepared(self, linear: Tensor) -> Tensor:
        return self._delivery.prepare(linear, self._signal.working_primaries)

    def _convert_on_device(
        self, device_batches: DeviceBatches, source: Sequence[Plane], target: Sequence[Plane], frames: int
    ) -> None:
        taken, delivered = device_batches.conversion.source, device_batches.conversion.delivered
        groups = [slice(3 * i, 3 * i + 3) for i in range(frames)]
        batch = device_batches.send([samples(source[group], taken.shapes(), taken.numpy_dtype) for group in groups])
        for group, (results, _) in zip(groups, batch.frames(), strict=True):
            for plane, result in zip(
                samples(target[group], delivered.shapes(), delivered.numpy_dtype), results, strict=True
            ):
                np.copyto(plane, result)

    def smooth(
        self, number: int, window: Sequence[Neighbour], target: Sequence[Plane], width: int, height: int
    ) -> None:
        """Fill `target`, three planes, with the light of frame `number`, smoothed over the frames of `window`."""
        gain_frames = self._neighbours.gain_frames(number, window, (3, height, width))
        write_planes(target, self._prepared(self._expander.smooth(number, gain_frames)[None])[0])
        self._trimmer.count(3 * len(window) * width * height * 4)


def _chosen(options: type, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that are fields of `options`. An array of one value comes from C as a bare number."""
    chosen = {}
    for field in fields(options):
        if field.name in arguments:
            value = arguments[field.name]
            if isinstance(field.default, tuple):
                value = tuple(value if isinstance(value, list) else [value])
            chosen[field.name] = value
    return chosen
