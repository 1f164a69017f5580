"""Memory of a process that renders for hours: constant, and used again rather than asked for anew."""

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

# Bytes of frames between two calls of malloc_trim: often enough to bound the growth to a fraction of this, seldom
# enough to cost nothing, as a call takes about a millisecond.
_INTERVAL = 1 << 28


# Of mallopt(3), and what glibc itself goes up to by and by: 32 MiB is the largest block it ever keeps, 256 MiB what may
# lie free at the end of a heap.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = (-1, 1 << 28), (-3, 1 << 25)


def keep_what_is_freed() -> None:
    """Have glibc keep freed memory for the next frame, for this process as a whole: for programs, not for libraries.

    Else every large tensor is new memory, which the system clears page by page: a fifth of a frame's time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    for parameter, value in (_TRIM_THRESHOLD, _MMAP_THRESHOLD) if mallopt else ():
        mallopt(parameter, value)


def out_of_memory(error: BaseException) -> bool:
    """Return whether the memory of a device, or what is pinned for it, was too small. It has more names than one."""
    names = ("out of memory", "unable to find an engine", "ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(name in str(error) for name in names)


class Trimmer:
    """Returns freed memory to the system once per quarter of a GiB of frames.

    glibc before 2.38 hardly reuses freed blocks of aligned memory, which both torch and VapourSynth live on: where the
    two alternate, the heap grows by a quarter of a frame per frame without anything being lost. Elsewhere this does
    nothing.
    """

    def __init__(self) -> None:
        self._trim: Callable[[int], int] | None = None
        if sys.platform == "linux":
            self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        self._bytes = 0

    def count(self, size: int) -> None:
        """To be called with the bytes of every batch of frames."""
        self._bytes += size
        if self._trim and self._bytes >= _INTERVAL:
            self._bytes = 0
            self._trim(0)


class Pool:
    """Tensors for frames that wander from thread to thread: the memory of one that nobody has any more, nor any view of
    it, is given out again. As many are kept as were ever in use at a time.
    """

    def __init__(self) -> None:
        self._idle: dict[int, list[NDArray]] = {}

    def empty(self, shape: Sequence[int]) -> Tensor:
        """Return a float32 tensor on the CPU with no particular content."""
        size = math.prod(shape)
        idle = self._idle.setdefault(size, [])
        buffer = idle.pop() if idle else np.empty(size, np.float32)
        lent = buffer[:]  # which torch holds on to as long as anything looks into the memory
        weakref.finalize(lent, idle.append, buffer).atexit = False
        return torch.from_numpy(lent).view(tuple(shape))


class _Workspace:
    """The large tensors of one frame's work, in the order in which the work asks for them."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.taken = 0

    def take(self, shape: tuple[int, ...]) -> Tensor:
        number, self.taken = self.taken, self.taken + 1
        if number == len(self.tensors):
            self.tensors.append(torch.empty(shape))
        elif self.tensors[number].shape != shape:
            self.tensors[number] = torch.empty(shape)
        return self.tensors[number]


class _Current(threading.local):
    workspace: _Workspace | None = None


_current = _Current()


class Workspaces:
    """Lends each thread that asks the tensors of a frame before: the system clears memory that it gives, which takes
    longer than all that is point-wise in a frame.
    """

    def __init__(self) -> None:
        self._idle: list[_Workspace] = []

    @contextlib.contextmanager
    def borrow(self) -> Iterator[None]:
        """Until the end of this context `large` gives this thread the tensors that it gave last time: what is kept of
        them must be copied before.
        """
        workspace = self._idle.pop() if self._idle else _Workspace()
        workspace.taken = 0
        outer, _current.workspace = _current.workspace, workspace
        try:
            yield
        finally:
            _current.workspace = outer
            self._idle.append(workspace)


def large(shape: Sequence[int]) -> Tensor:
    """Return a float32 tensor on the CPU with no particular content: a borrowed one where there is, else a new one."""
    workspace = _current.workspace
    return workspace.take(tuple(shape)) if workspace else torch.empty(tuple(shape))
