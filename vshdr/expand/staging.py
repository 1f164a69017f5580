"""The memory that batches pass through on their way to a device and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vshdr.colour.ycbcr import PlaneFormat
from vshdr.expand.plane_conversion import PlaneConversion

type IntegerPlane = NDArray[np.uint8 | np.uint16]
"""Rows x columns of one component, in host memory."""


class StagingBuffers:
    """Tensors for one batch: its input and its output, each once on the host and once on the device.

    On the host they are pinned if the device is a GPU, so that copies run beside other work.
    """

    def __init__(self, batch: int, conversion: PlaneConversion, counts_per_frame: int, device: torch.device) -> None:
        """Allocate memory for `batch` frames, with `counts_per_frame` numbers of light for each. Raise what
        `out_of_memory` recognises.
        """
        pinned = device.type == "cuda"

        def tensors(planes: PlaneFormat) -> list[Tensor]:
            return [torch.zeros((batch, *shape), dtype=planes.dtype, pin_memory=pinned) for shape in planes.shapes()]

        counts = torch.zeros(batch, counts_per_frame, pin_memory=pinned)
        finite = torch.ones((), dtype=torch.bool, pin_memory=pinned)
        self.host_input: list[Tensor] = tensors(conversion.source)
        """The source's planes, N x H x W each."""
        self.host_output: list[Tensor] = [*tensors(conversion.delivered), counts, finite]
        """The delivered planes, the counts of light, N x counts, and whether all was finite."""
        self.device_input: list[Tensor] = [torch.empty_like(tensor, device=device) for tensor in self.host_input]
        self.device_output: list[Tensor] = [torch.empty_like(tensor, device=device) for tensor in self.host_output]

    def fill(self, frames: Sequence[Sequence[IntegerPlane]]) -> None:
        """Copy frames, three planes each, into the host's input.

        Where they are fewer than a batch, the last one is repeated; what comes of the copies is not looked at.
        """
        for number, plane in enumerate(self.host_input):
            for index in range(len(plane)):
                np.copyto(plane[index].numpy(), frames[min(index, len(frames) - 1)][number])

    def fill_on_device(self, frames: Sequence[Sequence[Tensor]], stream: torch.cuda.Stream | None) -> None:
        """As `fill` and `upload`, for frames that lie on the device. `stream` is the one that copies them."""
        for number, plane in enumerate(self.device_input):
            for index in range(len(plane)):
                frame = frames[min(index, len(frames) - 1)][number]
                plane[index].copy_(frame)
                if stream is not None:
                    frame.record_stream(stream)  # allocated for another stream; keep its memory until this copy is done

    def upload(self) -> None:
        """Queue the copy of the input from the host to the device."""
        for on_device, on_host in zip(self.device_input, self.host_input, strict=True):
            on_device.copy_(on_host, non_blocking=True)

    def store(self, results: Sequence[Tensor]) -> None:
        """Queue the copy of what was computed into the device's output."""
        for output, result in zip(self.device_output, results, strict=True):
            output.copy_(result)

    def download(self) -> None:
        """Queue the copy of the output from the device to the host."""
        for on_host, on_device in zip(self.host_output, self.device_output, strict=True):
            on_host.copy_(on_device, non_blocking=True)
