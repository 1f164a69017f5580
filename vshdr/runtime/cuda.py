"""How work is given to a GPU: streams tied by events, functions fused by torch.compile and recorded as CUDA graphs."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from vshdr.runtime.memory import out_of_memory

_WARM_UP = 3  # runs before a graph is recorded: kernels are chosen and memory found in the first


class Streams:
    """The CUDA streams of device batches; on a CPU, nothing."""

    def __init__(self, device: torch.device) -> None:
        cuda = device.type == "cuda"
        self.up, self.work, self.down = (torch.cuda.Stream(device) if cuda else None for _ in range(3))

    def on(self, stream: Any) -> contextlib.AbstractContextManager:
        """Return what is asked for in this context goes to `stream`."""
        return torch.cuda.stream(stream) if stream is not None else contextlib.nullcontext()

    def mark(self, stream: Any, sleeps: bool = False) -> Any:
        """Return an event that has happened once `stream` has done all that it was asked for so far; with `sleeps`
        waiting for it takes no processor.
        """
        if stream is None:
            return None
        event = torch.cuda.Event(blocking=sleeps)
        event.record(stream)
        return event

    def after(self, first: Any, then: Any) -> None:
        """`then` waits for what `first` was asked for so far."""
        if first is not None:
            then.wait_event(self.mark(first))


class Fused:
    """A function of tensors as torch.compile makes it, which takes one pass over memory where PyTorch takes many; where
    it cannot be compiled, the function as it is.
    """

    def __init__(self, function: Callable[..., list[Tensor]]) -> None:
        self._function = function
        self._call = torch.compile(function, dynamic=False)

    def __call__(self, *tensors: Tensor) -> list[Tensor]:
        try:
            return self._call(*tensors)
        except Exception as error:  # compilers, and what they call, fail in more ways than one can list
            if self._call is self._function or out_of_memory(error) or _recording(tensors[0].device):
                raise
            warnings.warn(f"torch.compile cannot fuse the work, which runs slower: {error}", stacklevel=2)
            self._call = self._function
            return self._call(*tensors)


def _recording(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


class Recorded:
    """A function of tensors of fixed shapes, recorded as a CUDA graph: its hundreds of kernels start as one."""

    _one_in_the_process = threading.Lock()

    def __init__(self, function: Callable[..., list[Tensor]], streams: Streams) -> None:
        self._function, self._streams = function, streams
        self._graph: torch.cuda.CUDAGraph | None = None
        self._tried = False

    def __call__(self, *tensors: Tensor) -> list[Tensor]:
        """To be called on the stream of the work."""
        if not self._tried:
            self._tried = True
            with self._one_in_the_process:
                self._record(tensors)
        if self._graph is None:
            return self._function(*tensors)
        for mine, tensor in zip(self._inputs, tensors, strict=True):
            mine.copy_(tensor)
        self._graph.replay()
        return self._outputs

    def _record(self, tensors: Sequence[Tensor]) -> None:
        self._inputs = [tensor.clone() for tensor in tensors]
        for _ in range(_WARM_UP):
            self._function(*self._inputs)
        self._streams.work.synchronize()
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads may go on using the GPU meanwhile.
            with torch.cuda.graph(graph, stream=self._streams.work, capture_error_mode="thread_local"):
                self._outputs = self._function(*self._inputs)
        except RuntimeError as error:  # an operation that waits for the device cannot be recorded
            if out_of_memory(error):
                raise
            warnings.warn(f"the work on the GPU cannot be recorded as a graph and runs slower: {error}", stacklevel=2)
            return
        self._graph = graph
