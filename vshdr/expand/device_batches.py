"""From integer planes in host memory to integer planes in host memory, through an Expander on its device.

What goes over the bus is what a decoder gives and an encoder takes; all between happens on the device. Loads overlap:
one goes up while another is worked on and a third comes down, each on its own CUDA stream, tied by events and never by
waiting for the whole device. The work of a load is recorded once as a CUDA graph, and played again. On a CPU the same
steps are taken one after the other.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import vapoursynth as vs
from numpy.typing import NDArray
from torch import Tensor

from vshdr.colour.h273 import ChromaLocation, Matrix, Primaries
from vshdr.colour.primaries import matrix_to_bt2020_nits
from vshdr.colour.transfer import encode_hdr
from vshdr.colour.ycbcr import LUMA_WEIGHTS, PlaneFormat, dither_pattern
from vshdr.expand.expander import Expander
from vshdr.media.content_light import ContentLightMeter
from vshdr.media.delivery import Delivery
from vshdr.media.signal import Signal
from vshdr.runtime.cuda import Fused, Recorded, Streams
from vshdr.runtime.memory import out_of_memory

MOST_IN_FLIGHT = 4  # under way at a time: going up, being worked on, coming down, and being written by an encoder
_PATIENCE = 0.1  # seconds between looks at whether waiting still makes sense


@dataclass(frozen=True, kw_only=True)
class PlaneConversion:
    """What goes up, what comes down."""

    source: PlaneFormat
    delivered: PlaneFormat
    transfer: str
    """pq or hlg."""
    primaries: Primaries
    """BT.709 or BT.2020: of the RGB that the network sees."""
    dither: bool


PLANE_DEVICES = {"cuda"}
"""Kinds of device that frames are carried to as planes and not as float RGB. On a CPU zimg is faster."""


def takes_planes(expander: Expander) -> bool:
    """Return whether an expander's frames may come and go as planes: smoothing needs their light and
    their neighbours'.
    """
    return expander.device.type in PLANE_DEVICES and not expander.options.smooth


def plane_conversion(
    format_id: int, size: tuple[int, int], signal: Signal, properties: Mapping[str, Any], delivery: Delivery
) -> PlaneConversion | None:
    """Return how frames of VapourSynth's format `format_id` become those of `delivery` on a device.

    `size` is their width and height, `properties` are the first one's. None where it takes zimg: for other colours than
    the network's, for samples that are no integers, for grey, fields and dither that is drawn.
    """
    form, wanted = (vs.core.get_video_format(number) for number in (format_id, delivery.format_id))
    width, height = size
    location = properties.get("_ChromaLocation", ChromaLocation.LEFT)
    plain = (
        form.sample_type == vs.INTEGER
        and (signal.matrix in LUMA_WEIGHTS if form.color_family == vs.YUV else form.color_family == vs.RGB)
        and max(form.subsampling_w, form.subsampling_h) <= 1
        and signal.primaries == signal.working_primaries
        and location in ChromaLocation
        and not properties.get("_FieldBased", 0)
    )
    if not plain or delivery.output not in ("pq", "hlg") or delivery.dither not in ("none", "ordered"):
        return None
    source = PlaneFormat(
        width=width,
        height=height,
        bits=form.bits_per_sample,
        matrix=Matrix(signal.matrix),
        full_range=signal.full_range,
        subsampling=(form.subsampling_w, form.subsampling_h),
        chroma_location=ChromaLocation(location),
    )
    delivered = PlaneFormat(
        width=width,
        height=height,
        bits=wanted.bits_per_sample,
        matrix=Matrix.BT2020_NCL,
        full_range=False,
        subsampling=(wanted.subsampling_w, wanted.subsampling_h),
        chroma_location=ChromaLocation.TOP_LEFT,
    )
    return PlaneConversion(
        source=source,
        delivered=delivered,
        transfer=delivery.output,
        primaries=signal.working_primaries,
        dither=delivery.dither == "ordered",
    )


class DeviceBatches:
    """Carries loads of up to `expander.batch` frames. Any threads may use it and the loads."""

    def __init__(self, expander: Expander, conversion: PlaneConversion, meter: ContentLightMeter | None = None) -> None:
        """Take the memory for `MOST_IN_FLIGHT` loads, on the device and pinned in the host's; without a `meter` no
        light is counted. Raise what `out_of_memory` knows.
        """
        self._expander, self.conversion = expander, conversion
        self.batch = expander.batch
        """Most frames in a load."""
        self._streams = Streams(expander.device)
        self._one_at_a_time = threading.Lock()
        self._free_buffers: queue.SimpleQueue[_StagingBuffers] = queue.SimpleQueue()
        for _ in range(MOST_IN_FLIGHT):
            self._free_buffers.put(_StagingBuffers(expander.batch, conversion, meter, expander.device))
        self._work = _conversion(expander, conversion, meter)
        if expander.options.fuse:
            self._work = Fused(self._work)
        if expander.device.type == "cuda" and expander.description.recordable:
            self._work = Recorded(self._work, self._streams)

    @classmethod
    def largest(
        cls, expander: Expander, conversion: PlaneConversion, meter: ContentLightMeter | None = None
    ) -> DeviceBatches | None:
        """Return one that has carried an empty load, with as many frames in a load as the device's memory has room for;
        None where it has none.
        """
        expander.choose_batch(conversion.source.width, conversion.source.height)
        while True:
            try:
                return cls(expander, conversion, meter)._tried()
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
            if expander.batch == 1:
                return None
            expander.batch //= 2

    def _tried(self) -> DeviceBatches:
        """Itself, after a load: the first one compiles and records the work, and takes all the memory there will be."""
        source = self.conversion.source
        self.send([[np.zeros(shape, source.numpy_dtype) for shape in source.shapes()]]).frames()
        return self

    def send(
        self, frames: Sequence[Sequence[NDArray | Tensor]], given_up: Callable[[], bool] = lambda: False
    ) -> InFlightBatch:
        """Set frames going, three planes each, arrays in host memory or tensors on the device, and return at once
        unless all loads are under way: then it waits until one of them is dropped, and asks `given_up` now and then.

        Raise RuntimeError where that says so.
        """
        buffers = self._wait_for_buffers(given_up)
        try:
            there_already = isinstance(frames[0][0], Tensor)
            if not there_already:
                buffers.fill(frames)
            with self._one_at_a_time:
                arrived = self._set_going(buffers, frames if there_already else None)
        except BaseException:
            self._free_buffers.put(buffers)
            raise
        return InFlightBatch(self, buffers, len(frames), arrived)

    def _wait_for_buffers(self, given_up: Callable[[], bool]) -> _StagingBuffers:
        while not given_up():
            with contextlib.suppress(queue.Empty):
                return self._free_buffers.get(timeout=_PATIENCE)
        raise RuntimeError("stopped while frames were under way")

    def _set_going(self, buffers: _StagingBuffers, there: Sequence[Sequence[Tensor]] | None) -> Any:
        """Ask the device for all that is to be done with a load; return the event of its arrival."""
        streams = self._streams
        with streams.on(streams.up):
            if there is None:
                buffers.go_up()
            else:
                buffers.take_in(there, streams.up)
        streams.after(streams.up, streams.work)
        with streams.on(streams.work), torch.no_grad():
            buffers.take(self._work(*buffers.above))
        streams.after(streams.work, streams.down)
        with streams.on(streams.down):
            buffers.go_down()
            return streams.mark(streams.down, sleeps=True)

    def give_back(self, buffers: _StagingBuffers, arrived: Any) -> None:
        """Called for a load that nobody has any more, be it that it never was waited for."""
        try:
            if arrived is not None:
                arrived.synchronize()
        finally:
            self._free_buffers.put(buffers)

    def refuse_infinite(self, finite: Tensor) -> None:
        """Raise NotFiniteError where the network gave what is not finite."""
        self._expander.refuse_infinite(finite)


def _conversion(
    expander: Expander, conversion: PlaneConversion, meter: ContentLightMeter | None
) -> Callable[..., list[Tensor]]:
    """Return the work of a load, all on the device: from source planes to delivered planes, counts of light, and
    whether all was finite.

    A function and not a method: an object that knew itself through it would keep its memory until the next collection.
    """
    to_nits = matrix_to_bt2020_nits(expander.options.white, conversion.primaries)
    dither = dither_pattern(expander.device) if conversion.dither else None

    def convert(*planes: Tensor) -> list[Tensor]:
        linear, finite = expander.enqueue(conversion.source.to_rgb(planes))
        code = encode_hdr(linear, conversion.transfer, to_nits)
        delivered = conversion.delivered.from_rgb(code, dither)
        light = meter.counts(linear) if meter else linear.new_empty(len(linear), 0)
        return [*delivered, light, finite]

    return convert


class InFlightBatch:
    """Some frames that were sent."""

    def __init__(self, device_batches: DeviceBatches, buffers: _StagingBuffers, count: int, arrived: Any) -> None:
        self._device_batches, self._buffers, self._count, self._arrived = device_batches, buffers, count, arrived
        weakref.finalize(self, device_batches.give_back, buffers, arrived).atexit = False

    def frames(self) -> list[tuple[list[NDArray], Tensor]]:
        """Return the delivered planes of each frame, and its counts of light for `ContentLightMeter.add_counts`.

        Waits for them. They lie in memory that the next load overwrites: they hold as long as this object does. Raise
        NotFiniteError where the network gave what is not finite.
        """
        if self._arrived is not None:
            self._arrived.synchronize()
        *planes, light, finite = self._buffers.back
        self._device_batches.refuse_infinite(finite)
        return [([plane[i].numpy() for plane in planes], light[i]) for i in range(self._count)]


class _StagingBuffers:
    """Where one load lies: on the host and on the device, before and after."""

    def __init__(
        self, batch: int, conversion: PlaneConversion, meter: ContentLightMeter | None, device: torch.device
    ) -> None:
        pinned = device.type == "cuda"

        def tensors(planes: PlaneFormat) -> list[Tensor]:
            return [torch.zeros((batch, *shape), dtype=planes.dtype, pin_memory=pinned) for shape in planes.shapes()]

        self.front = tensors(conversion.source)
        light = torch.zeros(batch, meter.counted if meter else 0, pin_memory=pinned)
        self.back = [*tensors(conversion.delivered), light, torch.ones((), dtype=torch.bool, pin_memory=pinned)]
        self.above = [torch.empty_like(tensor, device=device) for tensor in self.front]
        self.results = [torch.empty_like(tensor, device=device) for tensor in self.back]

    def fill(self, frames: Sequence[Sequence[NDArray]]) -> None:
        """Copy frames into the host's side; the rest of a batch repeats the last, as its result is not looked at."""
        for number, plane in enumerate(self.front):
            for index in range(len(plane)):
                np.copyto(plane[index].numpy(), frames[min(index, len(frames) - 1)][number])

    def take_in(self, frames: Sequence[Sequence[Tensor]], stream: Any) -> None:
        """As `fill` and `go_up`, for frames that are on the device."""
        for number, above in enumerate(self.above):
            for index in range(len(above)):
                plane = frames[min(index, len(frames) - 1)][number]
                above[index].copy_(plane)
                if stream is not None:
                    plane.record_stream(stream)  # it was made on another, and its memory must outlast this copy

    def go_up(self) -> None:
        for above, front in zip(self.above, self.front, strict=True):
            above.copy_(front, non_blocking=True)

    def take(self, results: Sequence[Tensor]) -> None:
        for mine, result in zip(self.results, results, strict=True):
            mine.copy_(result)

    def go_down(self) -> None:
        for back, result in zip(self.back, self.results, strict=True):
            back.copy_(result, non_blocking=True)
