"""How lamps are rated for flicker, applied to the gain of a clip."""

from __future__ import annotations

import math

import numpy as np


class PercentFlicker:
    """Percent flicker and flicker index of 2^G over windows of one second, G being the picture's mean gain.

    IES Lighting Handbook, 10th edition, and RP-16. Percent flicker is 100 (A - B) / (A + B), where A and B are the
    maximum and minimum of light in a period. The flicker index is the area above the mean of a period over the whole
    area below the curve. Video need not be periodic, so windows of one second stand for periods. G is the sum of its
    changes from frame to frame.
    """

    def __init__(self, frame_rate: float) -> None:
        self._length = max(2, round(frame_rate))
        self._changes: list[float] = []
        self._windows = 0
        self._percent = self._index = self._worst = 0.0

    def add(self, change: float) -> None:
        """Add the next frame's mean change of gain, in stops; NaN counts as no change."""
        self._changes.append(0.0 if math.isnan(change) else change)
        if len(self._changes) == self._length:
            self._take()

    def cut(self) -> None:
        """End the shot, at a cut or at the end of the clip. Half a second or less is dropped, unless it is all
        there is.
        """
        if len(self._changes) > self._length // 2 or (self._changes and not self._windows):
            self._take()
        self._changes = []

    def _take(self) -> None:
        light = np.exp2(np.cumsum([0.0, *self._changes]))
        percent = 100.0 * float(light.max() - light.min()) / float(light.max() + light.min())
        self._percent += percent
        self._worst = max(self._worst, percent)
        self._index += float((light - light.mean()).clip(0.0).sum() / light.sum())
        self._windows += 1
        self._changes = []

    def summary(self) -> dict[str, float]:
        """Return the means over all windows, `percent_flicker` and `flicker_index`, and `percent_flicker_worst`.

        They are NaN before the first window.
        """
        if not self._windows:
            return dict.fromkeys(("percent_flicker", "flicker_index", "percent_flicker_worst"), math.nan)
        return {
            "percent_flicker": self._percent / self._windows,
            "flicker_index": self._index / self._windows,
            "percent_flicker_worst": self._worst,
        }
