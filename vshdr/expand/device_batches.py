"""Batches on a device: integer planes in host memory become integer planes in host memory, through an Expander.

What a decoder gives and what an encoder takes is all that crosses the bus; everything between happens on the device.
Batches overlap: one is uploaded while another is computed and a third is downloaded, each on its own CUDA stream. The
streams are ordered by events, so nothing waits for the whole device. The work of a batch is captured once as a CUDA
graph and replayed for all others. On a CPU the same steps are taken one after the other.

Experimental: this has not run on a GPU yet.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vshdr.colour.primaries import matrix_to_bt2020_nits
from vshdr.colour.transfer import encode_hdr
from vshdr.colour.ycbcr import dither_pattern
from vshdr.expand.expander import Expander
from vshdr.expand.plane_conversion import PlaneConversion
from vshdr.expand.staging import IntegerPlane, StagingBuffers
from vshdr.media.content_light import ContentLightMeter
from vshdr.runtime.cuda import Fused, Recorded, Streams, TensorFunction
from vshdr.runtime.memory import out_of_memory

MOST_IN_FLIGHT = 4  # batches: being uploaded, computed, downloaded, and read by an encoder
_POLL = 0.1  # seconds between looks at whether waiting still makes sense

type Frames = Sequence[Sequence[IntegerPlane]] | Sequence[Sequence[Tensor]]
"""Three planes each: arrays in host memory, or tensors on the device."""


class DeviceBatches:
    """Converts frames in batches of up to `batch`. Any threads may use it and the batches that it returns."""

    def __init__(self, expander: Expander, conversion: PlaneConversion, meter: ContentLightMeter | None = None) -> None:
        """Allocate the staging buffers of `MOST_IN_FLIGHT` batches. Without a `meter` no light is counted.

        Raise what `out_of_memory` recognises where the memory of the device, or pinned memory, is too small.
        """
        self._expander = expander
        self.conversion: PlaneConversion = conversion
        self.batch: int = expander.batch
        """The most frames in a batch; shorter ones are filled up."""
        self._streams = Streams(expander.device)
        self._queueing = threading.Lock()
        self._free_buffers: queue.SimpleQueue[StagingBuffers] = queue.SimpleQueue()
        for _ in range(MOST_IN_FLIGHT):
            counts = meter.counted if meter else 0
            self._free_buffers.put(StagingBuffers(self.batch, conversion, counts, expander.device))
        self._work = _device_work(expander, conversion, meter)
        if expander.options.fuse:
            self._work = Fused(self._work)
        if expander.backend.recordable and self._streams.compute is not None:
            self._work = Recorded(self._work, self._streams.compute)

    @classmethod
    def largest(
        cls, expander: Expander, conversion: PlaneConversion, meter: ContentLightMeter | None = None
    ) -> DeviceBatches | None:
        """Return one with the largest batch that the device has memory for, after a first batch has gone through it.

        This fixes the expander's batch. Return None where the memory is too small for batches of one frame.
        """
        expander.choose_batch(conversion.source.width, conversion.source.height)
        while True:
            try:
                batches = cls(expander, conversion, meter)
                batches._try_one()
                return batches
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
            if expander.batch == 1:
                return None
            expander.limit_batch(expander.batch // 2)

    def _try_one(self) -> None:
        """Convert a black frame: the first batch compiles and captures the work, and takes all memory that will be
        needed.
        """
        source = self.conversion.source
        self.send([[np.zeros(shape, source.numpy_dtype) for shape in source.shapes()]]).frames()

    def send(self, frames: Frames, stopped: Callable[[], bool] = lambda: False) -> InFlightBatch:
        """Start the conversion of up to `batch` frames and return at once.

        Where `MOST_IN_FLIGHT` batches are in use already, it first waits until one of them is dropped, and asks
        `stopped` a few times a second whether to give up. Raise RuntimeError where it does, and OutOfMemoryError where
        the device's memory is too small.
        """
        buffers = self._wait_for_buffers(stopped)
        try:
            on_device = cast(Sequence[Sequence[Tensor]], frames) if isinstance(frames[0][0], Tensor) else None
            if on_device is None:
                buffers.fill(cast(Sequence[Sequence[IntegerPlane]], frames))
            source = self.conversion.source
            with self._queueing, self._expander.explain_memory(source.width, source.height):
                done = self._queue(buffers, on_device)
        except BaseException:
            self._free_buffers.put(buffers)
            raise
        return InFlightBatch(self, buffers, len(frames), done)

    def _wait_for_buffers(self, stopped: Callable[[], bool]) -> StagingBuffers:
        while not stopped():
            with contextlib.suppress(queue.Empty):
                return self._free_buffers.get(timeout=_POLL)
        raise RuntimeError("stopped while frames were under way")

    def _queue(self, buffers: StagingBuffers, on_device: Sequence[Sequence[Tensor]] | None) -> torch.cuda.Event | None:
        """Queue all work of a batch on the device. Return the event of its end, None on a CPU."""
        streams = self._streams
        with streams.use(streams.upload):
            if on_device is None:
                buffers.upload()
            else:
                buffers.fill_on_device(on_device, streams.upload)
        streams.wait(streams.compute, streams.upload)
        with streams.use(streams.compute), torch.no_grad():
            buffers.store(self._work(*buffers.device_input))
        streams.wait(streams.download, streams.compute)
        with streams.use(streams.download):
            buffers.download()
            return streams.record_event(streams.download, blocking=True)

    def release(self, buffers: StagingBuffers, done: torch.cuda.Event | None) -> None:
        """Take back the buffers of a batch that nobody uses any more, once the device is done with them."""
        try:
            if done is not None:
                done.synchronize()
        finally:
            self._free_buffers.put(buffers)

    def check_finite(self, finite: Tensor) -> None:
        """Raise NotFiniteError where the network gave what is not finite."""
        self._expander.check_finite(finite)


def _device_work(expander: Expander, conversion: PlaneConversion, meter: ContentLightMeter | None) -> TensorFunction:
    """Return the function that a batch goes through: from source planes to delivered planes, counts of light, and
    whether all was finite.

    It is not a method, because an object that refers to itself through its own function would keep its memory until
    the next garbage collection.
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
    """A batch that was sent. Its staging buffers are used again once this object is gone."""

    def __init__(
        self, device_batches: DeviceBatches, buffers: StagingBuffers, count: int, done: torch.cuda.Event | None
    ) -> None:
        """`count` is the number of frames that were sent; `done` happens when they are back on the host."""
        self._device_batches, self._buffers, self._count, self._done = device_batches, buffers, count, done
        weakref.finalize(self, device_batches.release, buffers, done).atexit = False

    def frames(self) -> list[tuple[list[NDArray[np.uint16]], Tensor]]:
        """Return the delivered planes of each frame, and its counts of light for `ContentLightMeter.add_counts`.

        Waits for them. They lie in the staging buffers, so they are valid as long as this object is kept. Raise
        NotFiniteError where the network gave what is not finite.
        """
        if self._done is not None:
            self._done.synchronize()
        *planes, light, finite = self._buffers.host_output
        self._device_batches.check_finite(finite)
        return [([plane[i].numpy() for plane in planes], light[i]) for i in range(self._count)]
