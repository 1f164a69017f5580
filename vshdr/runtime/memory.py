"""Memory of a process that renders for hours: its use stays constant, and buffers are reused."""

from __future__ import annotations

import contextlib
import ctypes
import math
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Bytes of frames between two calls of malloc_trim. A call takes about a millisecond: the interval is long enough for it
# to cost nothing, and short enough that the heap grows by no more than a fraction of it.
_TRIM_INTERVAL = 1 << 28

# Parameters of mallopt(3) and their values: 32 MiB is the largest block that glibc ever keeps, 256 MiB is what may lie
# free at the end of a heap. glibc's own thresholds rise to these values over time.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MALLOC_PARAMETERS = ((_M_TRIM_THRESHOLD, 1 << 28), (_M_MMAP_THRESHOLD, 1 << 25))


def keep_what_is_freed() -> None:
    """Have glibc keep freed memory for the next frame. This changes the whole process: call it from programs, not from
    libraries.

    Without it every large tensor is new memory, which the system clears page by page: a fifth of a frame's time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:  # musl has none
        for parameter, value in _MALLOC_PARAMETERS:
            mallopt(parameter, value)


def out_of_memory(error: BaseException) -> bool:
    """Return whether `error` says that a device's memory, or pinned memory, is too small. CUDA, cuDNN and cuBLAS
    word it differently.
    """
    phrases = ("out of memory", "unable to find an engine", "ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(phrase in str(error) for phrase in phrases)


class Trimmer:
    """Returns freed memory to the system after every quarter of a GiB of frames.

    glibc before 2.38 hardly reuses freed blocks of aligned memory, which both torch and VapourSynth allocate. Where
    the two alternate, the heap grows by a quarter of a frame per frame, although nothing leaks. On other systems this
    does nothing.
    """

    def __init__(self) -> None:
        self._trim: Callable[[int], int] | None = None
        if sys.platform == "linux":
            self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        self._bytes = 0

    def count(self, size: int) -> None:
        """Count `size` bytes of frames. Call this once for every batch."""
        self._bytes += size
        if self._trim and self._bytes >= _TRIM_INTERVAL:
            self._bytes = 0
            self._trim(0)


class Pool:
    """Tensors for frames that are passed from thread to thread. Once neither a tensor nor any view of it is in use, its
    memory is used for another one. The pool grows to as many buffers as were ever in use at a time.
    """

    def __init__(self) -> None:
        self._idle: dict[int, list[NDArray[np.float32]]] = {}

    def empty(self, shape: Sequence[int]) -> Tensor:
        """Return a float32 tensor on the CPU with no particular content."""
        size = math.prod(shape)
        idle = self._idle.setdefault(size, [])
        buffer = idle.pop() if idle else np.empty(size, np.float32)
        view = buffer[:]  # torch keeps this array alive as long as any tensor uses the memory
        weakref.finalize(view, idle.append, buffer).atexit = False
        return torch.from_numpy(view).view(tuple(shape))


class _Workspace:
    """The large tensors of one frame's work, in the order in which that work asks for them."""

    def __init__(self) -> None:
        self._tensors: list[Tensor] = []
        self._next = 0

    def rewind(self) -> None:
        """Begin again with the first tensor."""
        self._next = 0

    def take(self, shape: tuple[int, ...]) -> Tensor:
        number, self._next = self._next, self._next + 1
        if number == len(self._tensors):
            self._tensors.append(torch.empty(shape))
        elif self._tensors[number].shape != shape:
            self._tensors[number] = torch.empty(shape)
        return self._tensors[number]


class _Current(threading.local):
    workspace: _Workspace | None = None


_current = _Current()


class Workspaces:
    """Has `large` reuse the tensors of earlier frames: the system clears the memory that it hands out, which takes
    longer than all point-wise work on a frame.
    """

    def __init__(self) -> None:
        self._idle: list[_Workspace] = []

    @contextlib.contextmanager
    def borrow(self) -> Iterator[None]:
        """In this context, `large` gives this thread the same tensors as in an earlier one. Results that live longer
        must be copied out before it ends.
        """
        workspace = self._idle.pop() if self._idle else _Workspace()
        workspace.rewind()
        outer, _current.workspace = _current.workspace, workspace
        try:
            yield
        finally:
            _current.workspace = outer
            self._idle.append(workspace)


def large(shape: Sequence[int]) -> Tensor:
    """Return a float32 tensor on the CPU with no particular content, from the borrowed workspace if this thread has
    one.
    """
    workspace = _current.workspace
    return workspace.take(tuple(shape)) if workspace else torch.empty(tuple(shape))
