"""Keeps the memory of a process that renders for hours constant."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

# Bytes of frames between two calls of malloc_trim: often enough to bound the growth to a fraction of this, seldom
# enough to cost nothing, as a call takes about a millisecond.
_INTERVAL = 1 << 28


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
