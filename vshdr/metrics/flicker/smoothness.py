"""The smoothness of Eilertsen et al.: how much fast temporal energy a clip has, against its source."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

SIGMA = 5.0
"""Standard deviation, in frames, of the Gaussian low-pass over time."""
_RADIUS = 20  # frames: four standard deviations
_KERNEL = np.exp(-(np.arange(-_RADIUS, _RADIUS + 1) ** 2) / (2 * SIGMA**2))
_KERNEL /= _KERNEL.sum()


class TemporalEnergy:
    """The energies E and P of one clip (see `smoothness`), in constant memory: 41 frames are kept."""

    def __init__(self) -> None:
        self._recent: deque[NDArray[np.float64]] = deque(maxlen=2 * _RADIUS + 1)
        self._count = self._done = 0
        self._fast = self._power = 0.0

    def add(self, values: NDArray[np.floating]) -> None:
        """Add the next frame's values, of any shape, the same for all frames."""
        self._recent.append(np.asarray(values, np.float64))
        self._count += 1
        if self._count > self._done + _RADIUS:
            self._filter(None)

    def cut(self) -> None:
        """End the shot, at a cut or at the end of the clip."""
        while self._done < self._count:
            self._filter(self._count)
        self._recent.clear()
        self._count = self._done = 0

    def _filter(self, length: int | None) -> None:
        """Filter the next frame. `length` is the shot's if it is over: frames beyond its end are mirrored."""
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
        """E: the sum over all samples V of (V - G5 * V)^2, G5 being a Gaussian over time with sigma 5."""
        return self._fast

    @property
    def power(self) -> float:
        """P: the sum over all samples of V^2."""
        return self._power


def smoothness(source: TemporalEnergy, clip: TemporalEnergy) -> dict[str, float]:
    """Return `smoothness`, S = sqrt(E(source) / E(clip)), and `smoothness_normalised`, the same with E / P for E.

    S is above 1 if the clip is smoother than its source; the normalised one does not depend on a factor on the clip.
    This is the form that the temporally stable ExpandNet uses (sigma 5 frames, cut at 4 sigma) of the measure of
    Eilertsen, Mantiuk and Unger, "Single-frame Regularization for Temporally Stable CNNs", CVPR 2019. Motion counts as
    well, so compare only clips of the same source. If neither clip changes at all, both are 1.
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
    """Return `index` mirrored at the ends of the shot as SciPy's "reflect" does: d c b a | a b c d | d c b a.

    If `length` is None, the end is not known yet.
    """
    if length is None:
        return index if index >= 0 else -index - 1
    index %= 2 * length
    return index if index < length else 2 * length - 1 - index
