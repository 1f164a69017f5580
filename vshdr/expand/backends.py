"""Backends: what runs a model on a device. The Expander knows nothing of a network but this protocol.

PyTorch is the only one so far. Another one, such as ONNX Runtime, implements `Backend` and is chosen in `open_backend`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from vshdr import models
from vshdr.errors import DeviceError
from vshdr.models.cards import Card
from vshdr.models.contract import Display, Model
from vshdr.options.expand import ExpandOptions

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_GPU_BATCH = 4  # frames per call on a GPU if the user does not say; more gain nothing


@dataclass(frozen=True, kw_only=True)
class MemoryUse:
    """Memory of a device, in bytes."""

    needed: int
    """The most that the work took at a time."""
    free: int
    """What is free after it."""


class Backend(Protocol):
    """A model on a device, for inference: code values in, linear light out. Any threads may use it.

    The same frame in the same batch size always gives the same bits, whatever the other frames of the batch are.
    """

    @property
    def card(self) -> Card:
        """What the model is and which frames it takes."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the tensors that it takes and returns lie."""
        ...

    @property
    def precision(self) -> str:
        """The arithmetic of the network: fp32, bf16 or fp16."""
        ...

    @property
    def brightest(self) -> float:
        """The largest value that `apply` can return, in multiples of SDR white; infinity for no limit."""
        ...

    @property
    def one_by_one(self) -> bool:
        """Whether it is called with one frame at a time, whatever the batch: on a CPU more only cost memory."""
        ...

    @property
    def default_batch(self) -> int:
        """The most frames per call if the user does not say."""
        ...

    @property
    def default_tile(self) -> int:
        """Side of the tiles, in pixels, if the user does not say; 0 takes frames whole."""
        ...

    @property
    def recordable(self) -> bool:
        """Whether a call may be captured as a CUDA graph."""
        ...

    def summarise(self, sdr: Tensor) -> Tensor | None:
        """Return what `apply` must know of whole frames, as `Model.summarise` does."""
        ...

    def cut(self, summary: Tensor | None, size: tuple[int, int], rows: slice, columns: slice) -> Tensor | None:
        """Return the part of `summary` that a tile needs, as `Model.cut` does."""
        ...

    def apply(self, sdr: Tensor, summary: Tensor | None) -> Tensor:
        """Return float32 linear light of frames or tiles, both N x 3 x H x W, as `Model.forward` does."""
        ...

    def memory_for(self, work: Callable[[], object]) -> MemoryUse | None:
        """Do `work`, which expands one frame of some size, and return what memory of the device it takes; None if that
        cannot be told. Raise what `runtime.memory.out_of_memory` recognises where it is too little.
        """
        ...


class TorchBackend:
    """A model in PyTorch, on a CPU or a CUDA device. CUDA is experimental: it has not run on a GPU yet."""

    def __init__(self, model: Model, device: torch.device, precision: str = "auto") -> None:
        """Move `model` to `device`. `precision` is one of `ExpandOptions.precision`."""
        self.model: Model = model.to(device)
        self.device = device
        self.card: Card = model.card
        self.precision: str = _precision(model, device, precision)
        self.brightest: float = model.brightest
        on_cpu = device.type == "cpu"
        self.one_by_one: bool = on_cpu
        self.default_batch: int = 1 if on_cpu else _GPU_BATCH
        self.default_tile: int = self.card.tile if on_cpu else 0
        self.recordable: bool = device.type == "cuda" and self.card.recordable
        self._dtype = _DTYPES[self.precision]

    def summarise(self, sdr: Tensor) -> Tensor | None:
        with self._autocast(), self._without_tf32():
            return self.model.summarise(sdr)

    def cut(self, summary: Tensor | None, size: tuple[int, int], rows: slice, columns: slice) -> Tensor | None:
        return self.model.cut(summary, size, rows, columns)

    def apply(self, sdr: Tensor, summary: Tensor | None) -> Tensor:
        with self._autocast(), self._without_tf32():
            return self.model(sdr, summary).float()

    def memory_for(self, work: Callable[[], object]) -> MemoryUse | None:
        if self.device.type != "cuda":
            work()
            return None
        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        work()
        needed = torch.cuda.max_memory_allocated(self.device) - before
        return MemoryUse(needed=needed, free=torch.cuda.mem_get_info(self.device)[0])

    def _autocast(self) -> contextlib.AbstractContextManager[object]:
        return torch.autocast(self.device.type, self._dtype, enabled=self._dtype is not torch.float32)

    def _without_tf32(self) -> contextlib.AbstractContextManager[object]:
        """Return a context in which fp32 means fp32: by itself cuDNN would compute with ten bits of mantissa."""
        full = self.device.type == "cuda" and self._dtype is torch.float32
        return torch.backends.cudnn.flags(allow_tf32=False) if full else contextlib.nullcontext()


def open_backend(options: ExpandOptions, display: Display) -> Backend:
    """Return the model that `options` ask for, on the device that they ask for.

    Raise InputError for a model or weights that do not fit, OSError for weights that cannot be read, and DeviceError
    for a device that is not there.
    """
    device = _find_device(options.device, options.device_index)
    model = models.build(options.model or models.DEFAULT, options.weights, display)
    return TorchBackend(model, device, options.precision)


def _find_device(kind: str, index: int) -> torch.device:
    if kind == "cpu" or (kind == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise DeviceError("device 'cuda' was asked for, but torch sees no CUDA device; use device 'cpu' or 'auto'")
    count = torch.cuda.device_count()
    if index >= count:
        raise DeviceError(f"device_index {index} was asked for, but torch sees {count} CUDA devices")
    return torch.device("cuda", index)


def _precision(model: Model, device: torch.device, asked: str) -> str:
    has_parameters = next(model.parameters(), None) is not None
    if not has_parameters:  # an operator gains nothing from fewer bits, and bf16's eight would show
        return "fp32"
    if asked != "auto":
        return asked
    return "fp32" if device.type == "cpu" else model.card.precision
