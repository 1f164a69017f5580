"""At which frequencies light flickers, and how strongly in the lighting field's own measures."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

SEGMENT = 64
"""Frames of a segment of the spectrum."""
SLOWEST = 1.0
"""Hertz: what swings more slowly is seen as a change, not as flicker."""
_SHORTEST = 8  # frames of a segment that is still worth something
_PADDING = 4  # times as many frequencies as a segment has by itself, so that none falls far between two


class Spectrum:
    """Amplitudes of gain over temporal frequency, in constant memory.

    Welch, "The use of fast Fourier transform for the estimation of power spectra", 1967: segments of 64 frames that
    overlap by half, their mean taken off, Hann's window, powers averaged. What comes in are changes d from frame to
    frame; the gain's own amplitude at the frequency f is |FFT(d)| / |1 - exp(-2 pi i f / rate)|. No segment crosses a
    cut.
    """

    def __init__(self, frame_rate: float) -> None:
        self._rate = frame_rate
        self._recent: deque[NDArray[np.float64]] = deque(maxlen=SEGMENT)
        self._waiting = 0  # frames since the last segment
        self._power: NDArray[np.float64] | None = None
        self._segments = 0

    def add(self, changes: NDArray[np.float64]) -> None:
        """The next frame's changes, in stops: one each of a fixed number of places."""
        self._recent.append(changes)
        self._waiting += 1
        if len(self._recent) == SEGMENT and self._waiting >= SEGMENT // 2:
            self._take()

    def cut(self) -> None:
        """A new shot begins, or the clip is over."""
        if self._waiting >= _SHORTEST:
            self._take()
        self._recent.clear()
        self._waiting = 0

    def _take(self) -> None:
        changes = np.stack(self._recent)
        changes -= changes.mean(axis=0)
        window = np.hanning(len(changes) + 2)[1:-1, None]
        bins = np.fft.rfft(changes * window, _PADDING * SEGMENT, axis=0)[_PADDING:]
        amplitude = np.abs(bins) * 2.0 / window.sum()
        amplitude[-1] /= 2.0  # the highest frequency has no mirror image
        amplitude /= 2.0 * np.sin(np.pi * self.frequencies / self._rate)[:, None]
        amplitude[self.frequencies * len(changes) < self._rate] = 0.0  # a short shot does not show a whole swing
        power = amplitude**2
        self._power = power if self._power is None else self._power + power
        self._segments += 1
        self._waiting = 0

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """Hertz, from one cycle per segment to half the frame rate."""
        return np.arange(_PADDING, _PADDING * SEGMENT // 2 + 1) * self._rate / (_PADDING * SEGMENT)

    @property
    def amplitudes(self) -> NDArray[np.float64]:
        """Frequencies x places, stops: the amplitude of a sinusoid of that frequency; zero before the first segment."""
        if self._power is None:
            return np.zeros((len(self.frequencies), 1))
        return np.sqrt(self._power / self._segments)


def peak(frequencies: NDArray[np.float64], amplitudes: NDArray[np.float64]) -> tuple[float, float]:
    """Return frequency in hertz and amplitude in stops of a spectrum's strongest component from `SLOWEST` on."""
    top = int(np.argmax(np.where(frequencies >= SLOWEST, amplitudes, 0.0)))
    return float(frequencies[top]), float(amplitudes[top])


class Lamp:
    """Percent flicker and flicker index of the gain's light, as lamps are rated, over windows of one second.

    IES Lighting Handbook (10th edition; RP-16): percent flicker is 100 (A - B) / (A + B), A and B the maximum and the
    minimum of light in a cycle; the flicker index is the area above the cycle's mean over the whole area. The light
    is 2^G, G being the picture's mean gain as its changes from frame to frame add up; for a period, that video need
    not have, stands a second.
    """

    def __init__(self, frame_rate: float) -> None:
        self._length = max(2, round(frame_rate))
        self._changes: list[float] = []
        self._windows = 0
        self._percent = self._index = self._worst = 0.0

    def add(self, change: float) -> None:
        """The next frame's mean change of gain in stops; NaN counts as none."""
        self._changes.append(0.0 if math.isnan(change) else change)
        if len(self._changes) == self._length:
            self._take()

    def cut(self) -> None:
        """A new shot begins, or the clip is over."""
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
        """`percent_flicker` and `flicker_index`, means over all windows, and `percent_flicker_worst`; NaN before the
        first.
        """
        if not self._windows:
            return dict.fromkeys(("percent_flicker", "flicker_index", "percent_flicker_worst"), math.nan)
        return {
            "percent_flicker": self._percent / self._windows,
            "flicker_index": self._index / self._windows,
            "percent_flicker_worst": self._worst,
        }
