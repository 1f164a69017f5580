"""The worst frames of a clip: chosen while frames go by, with their pictures."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vshdr.metrics.flicker.change import averaged_down

COUNT = 6
"""How many are kept."""
WIDTH = 480
"""Pixels across their pictures, at most."""
APART = 0.5
"""Seconds between two of them."""

STEPS_PER_STOP = 204.75
"""Of the pictures' logarithmic codes: a step is 0.34 %."""
DARKEST = -12.0
"""Stops below 1.0 that code 0 means; code 4095 is 8 stops above."""
_LARGEST = 4095


@dataclass(frozen=True)
class WorstFrame:
    """A frame where some clip flickers, and the one before it."""

    frame: int
    score: float
    """The largest flicker of any clip, in stops."""
    clip: int
    """Number of the clip whose flicker that is."""
    pictures: list[tuple[Tensor, Tensor]]
    """For each clip its light before and now: 3 x h x w float16, 1.0 = SDR white."""


class WorstFrames:
    """Keeps the worst frames, apart from each other."""

    def __init__(self, frame_rate: float, count: int = COUNT) -> None:
        self._apart = max(1, round(APART * frame_rate))
        self._count = count
        self._kept: list[WorstFrame] = []
        self._before: list[Tensor] = []

    def add(self, frame: int, score: float, clip: int, lights: list[Tensor]) -> None:
        """The next frame; `lights` are all clips' linear light, 1 x 3 x H x W. A score of NaN is never kept."""
        now = [small(light) for light in lights]
        if self._before and self._wants(frame, score):
            self._kept.append(WorstFrame(frame, score, clip, list(zip(self._before, now, strict=True))))
        self._before = now

    def cut(self) -> None:
        """A new shot begins with the next frame."""
        self._before = []

    def _wants(self, frame: int, score: float) -> bool:
        """Return whether a frame is worse than what it would take the place of, which is then given up."""
        if not score > 0.0:
            return False
        near = [kept for kept in self._kept if frame - kept.frame < self._apart]
        rivals = near or ([min(self._kept, key=lambda kept: kept.score)] if len(self._kept) >= self._count else [])
        if any(rival.score >= score for rival in rivals):
            return False
        self._kept = [kept for kept in self._kept if kept not in rivals]
        return True

    def worst(self) -> list[WorstFrame]:
        """From the worst on."""
        return sorted(self._kept, key=lambda kept: -kept.score)


def small(linear: Tensor) -> Tensor:
    """Light, 1 x 3 x H x W, averaged down to a worst frame's picture, 3 x h x w float16."""
    return averaged_down(linear, WIDTH)[0].clamp(0.0, 65504.0).half()


def packed(before: Tensor, now: Tensor) -> str:
    """Return two pictures, 3 x h x w, as text for the page.

    Each sample becomes a code of 12 bits, round(204.75 (log2 L + 12)). A row is stored as differences of neighbours,
    the picture before as its difference to the one now, all modulo 4096; low bytes, then high bytes; deflated; base 64.
    """
    codes = [_codes(picture) for picture in (now, before)]
    differences = np.stack([np.diff(codes[0], axis=2, prepend=0), codes[1] - codes[0]]) & _LARGEST
    flat = differences.astype(np.uint16).ravel()
    data = (flat & 0xFF).astype(np.uint8).tobytes() + (flat >> 8).astype(np.uint8).tobytes()
    return base64.b64encode(zlib.compress(data)).decode()


def _codes(picture: Tensor) -> np.ndarray:
    stops = torch.log2(picture.float().clamp_min(2.0**DARKEST)) - DARKEST
    return (stops * STEPS_PER_STOP).round().clamp(0, _LARGEST).short().numpy().astype(np.int32)
