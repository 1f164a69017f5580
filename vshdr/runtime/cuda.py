"""How a GPU is given work: CUDA streams ordered by events, functions fused by torch.compile or replayed as CUDA graphs.

Experimental: none of this has run on a GPU yet; the tests use a stand-in for `torch.cuda`.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vshdr.runtime.memory import out_of_memory

_WARM_UP = 3  # runs before a graph is captured: the first ones choose kernels and allocate memory

type TensorFunction = Callable[..., list[Tensor]]
"""Takes any number of tensors and returns some."""


class Streams:
    """Three CUDA streams, so that copies in both directions overlap with computation. On a CPU each is None, and work
    is done at once.
    """

    def __init__(self, device: torch.device) -> None:
        cuda = device.type == "cuda"
        self.upload: torch.cuda.Stream | None = torch.cuda.Stream(device) if cuda else None
        self.compute: torch.cuda.Stream | None = torch.cuda.Stream(device) if cuda else None
        self.download: torch.cuda.Stream | None = torch.cuda.Stream(device) if cuda else None

    def use(self, stream: torch.cuda.Stream | None) -> contextlib.AbstractContextManager[object]:
        """Return a context in which all work is queued on `stream`."""
        return torch.cuda.stream(stream) if stream is not None else contextlib.nullcontext()

    def record_event(self, stream: torch.cuda.Stream | None, blocking: bool = False) -> torch.cuda.Event | None:
        """Return an event that happens when `stream` has done all that is queued on it now; None on a CPU.

        With `blocking`, a thread that waits for the event sleeps instead of polling.
        """
        if stream is None:
            return None
        event = torch.cuda.Event(blocking=blocking)
        event.record(stream)
        return event

    def wait(self, waiting: torch.cuda.Stream | None, awaited: torch.cuda.Stream | None) -> None:
        """Have `waiting` start what is queued on it next only after all that is queued on `awaited` now."""
        event = self.record_event(awaited)
        if waiting is not None and event is not None:
            waiting.wait_event(event)


class Fused:
    """A function of tensors compiled by torch.compile, which reads and writes memory once where PyTorch does many
    times. Where it cannot be compiled, it warns and runs the function as it is.
    """

    def __init__(self, function: TensorFunction) -> None:
        self._function = function
        self._call = torch.compile(function, dynamic=False)

    def __call__(self, *tensors: Tensor) -> list[Tensor]:
        try:
            return self._call(*tensors)
        except Exception as error:  # the compiler and its back ends raise more kinds than one can list
            if self._call is self._function or out_of_memory(error) or _is_capturing(tensors[0].device):
                raise
            warnings.warn(f"torch.compile cannot fuse the work, which runs slower: {error}", stacklevel=2)
            self._call = self._function
            return self._call(*tensors)


def _is_capturing(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


class Recorded:
    """A function of tensors of fixed shapes, captured as a CUDA graph at its first call and replayed from then on: its
    hundreds of kernels are launched as one. Where it cannot be captured, it warns and runs the function as it is.
    """

    _one_capture_per_process = threading.Lock()

    def __init__(self, function: TensorFunction, stream: torch.cuda.Stream) -> None:
        """`stream` is the one on which every call will be made."""
        self._function, self._stream = function, stream
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: list[Tensor] = []
        self._outputs: list[Tensor] = []
        self._tried = False

    def __call__(self, *tensors: Tensor) -> list[Tensor]:
        """Return what the function gives. After a replay, the next call overwrites it."""
        if not self._tried:
            self._tried = True
            with self._one_capture_per_process:
                self._capture(tensors)
        if self._graph is None:
            return self._function(*tensors)
        for graph_input, tensor in zip(self._inputs, tensors, strict=True):
            graph_input.copy_(tensor)
        self._graph.replay()
        return self._outputs

    def _capture(self, tensors: Sequence[Tensor]) -> None:
        self._inputs = [tensor.clone() for tensor in tensors]
        for _ in range(_WARM_UP):
            self._function(*self._inputs)
        self._stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        try:
            # "thread_local", so that other threads may go on using the GPU meanwhile.
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                self._outputs = self._function(*self._inputs)
        except RuntimeError as error:  # an operation that waits for the device cannot be captured
            if out_of_memory(error):
                raise
            warnings.warn(f"the work on the GPU cannot be recorded as a graph and runs slower: {error}", stacklevel=2)
            return
        self._graph = graph
