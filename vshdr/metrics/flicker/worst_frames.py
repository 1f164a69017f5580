"""The frames that flicker most, chosen frame by frame and kept with their pictures."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from vshdr.metrics.flicker.frame_difference import downscale

COUNT = 6
"""Number of worst frames that are kept."""
WIDTH = 480
"""Largest width of their pictures, in pixels."""
APART = 0.5
"""Least distance between two of them, in seconds."""


@dataclass(frozen=True)
class WorstFrame:
    """A frame in which some clip flickers."""

    frame: int
    score: float
    """The largest flicker of any clip, in stops."""
    clip: int
    """Index of the clip with this flicker."""
    pictures: list[tuple[Tensor, Tensor]]
    """For each clip its linear light in the frame before and in this one: 3 x h x w float16, 1.0 = SDR white."""


class WorstFrames:
    """Keeps the worst frames, at a distance from each other."""

    def __init__(self, frame_rate: float, count: int = COUNT) -> None:
        self._apart = max(1, round(APART * frame_rate))
        self._count = count
        self._kept: list[WorstFrame] = []
        self._before: list[Tensor] = []

    def add(self, frame: int, score: float, clip: int, lights: list[Tensor]) -> None:
        """Consider the next frame, whose largest flicker is `score` (NaN: none) in the clip with index `clip`.

        `lights` are the linear light of all clips, 1 x 3 x H x W.
        """
        now = [_picture(light) for light in lights]
        if self._before and self._wants(frame, score):
            self._kept.append(WorstFrame(frame, score, clip, list(zip(self._before, now, strict=True))))
        self._before = now

    def cut(self) -> None:
        """End the shot: no frame before the cut is shown with one after it."""
        self._before = []

    def _wants(self, frame: int, score: float) -> bool:
        """Return whether a frame is worse than the frames whose place it would take, and drop those if so."""
        if not score > 0.0:
            return False
        near = [kept for kept in self._kept if frame - kept.frame < self._apart]
        rivals = near or ([min(self._kept, key=lambda kept: kept.score)] if len(self._kept) >= self._count else [])
        if any(rival.score >= score for rival in rivals):
            return False
        self._kept = [kept for kept in self._kept if kept not in rivals]
        return True

    def worst(self) -> list[WorstFrame]:
        """Return the frames that were kept, the worst first."""
        return sorted(self._kept, key=lambda kept: -kept.score)


def _picture(linear: Tensor) -> Tensor:
    """Return linear light, 1 x 3 x H x W, at most `WIDTH` pixels wide, as 3 x h x w float16."""
    return downscale(linear, WIDTH)[0].clamp(0.0, 65504.0).half()
