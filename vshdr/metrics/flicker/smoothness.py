"""The smoothness of Eilertsen et al.: how much of a clip's energy over time is fast, against another clip's."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

SIGMA = 5.0
"""Frames: standard deviation of the low-pass over time."""
_RADIUS = 20
_KERNEL = np.exp(-(np.arange(-_RADIUS, _RADIUS + 1) ** 2) / (2 * SIGMA**2))
_KERNEL /= _KERNEL.sum()


class Energy:
    """E and P of one clip, in constant memory: 41 frames are kept."""

    def __init__(self) -> None:
        self._recent: deque[NDArray[np.float64]] = deque(maxlen=2 * _RADIUS + 1)
        self._count = self._done = 0
        self._fast = self._power = 0.0

    def add(self, values: NDArray) -> None:
        """The next frame, of any shape."""
        self._recent.append(np.asarray(values, np.float64))
        self._count += 1
        if self._count > self._done + _RADIUS:
            self._filter(None)

    def cut(self) -> None:
        """A new shot begins, or the clip is over: ends are mirrored, as ndimage's "reflect" does."""
        while self._done < self._count:
            self._filter(self._count)
        self._recent.clear()
        self._count = self._done = 0

    def _filter(self, length: int | None) -> None:
        """Take the next frame whose neighbours are known; beyond `length`, where the shot ends, come mirrored ones."""
        oldest, centre = self._count - len(self._recent), self._done
        low = np.zeros_like(self._recent[0])
        for offset, weight in zip(range(-_RADIUS, _RADIUS + 1), _KERNEL, strict=True):
            low += weight * self._recent[_mirrored(centre + offset, length) - oldest]
        frame = self._recent[centre - oldest]
        self._fast += float(np.square(frame - low).sum())
        self._power += float(np.square(frame).sum())
        self._done += 1

    @property
    def fast(self) -> float:
        """E: the sum of (V - G5 * V)^2 over all samples, G5 a Gaussian over time."""
        return self._fast

    @property
    def power(self) -> float:
        """P: the sum of V^2."""
        return self._power


def smoothness(source: Energy, clip: Energy) -> dict[str, float]:
    """S = sqrt(E(source) / E(clip)), above 1 where the clip is smoother than its source, and `smoothness_normalised`,
    sqrt((E / P)(source) / (E / P)(clip)), which a factor on the clip's values does not change.

    The temporally stable ExpandNet's form (sigma 5 frames, cut at 4 sigma) of the measure in Eilertsen, Mantiuk and
    Unger, "Single-frame Regularization for Temporally Stable CNNs", CVPR 2019. Motion counts as well, so it says
    something only against the same source. Clips that do not change at all are as smooth as each other.
    """
    return {
        "smoothness": _ratio(source.fast, clip.fast),
        "smoothness_normalised": _ratio(source.fast * clip.power, clip.fast * source.power),
    }


def _ratio(above: float, below: float) -> float:
    if below <= 0.0:
        return 1.0 if above <= 0.0 else math.inf
    return math.sqrt(above / below)


def _mirrored(index: int, length: int | None) -> int:
    """`index` as ndimage's "reflect" finds it: d c b a | a b c d | d c b a."""
    if length is None:
        return index if index >= 0 else -index - 1
    index %= 2 * length
    return index if index < length else 2 * length - 1 - index
