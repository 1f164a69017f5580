"""The temporal spectrum of the gain: at which frequencies it swings, and how strongly."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

SEGMENT = 64
"""Frames per segment of the spectrum."""
SLOWEST = 1.0
"""Hertz: a slower swing is seen as a change, not as flicker."""
_SHORTEST = 8  # frames: a shorter segment tells nothing
_PADDING = 4  # zero-padding gives this many times more frequencies, so that no peak falls far between two


class Spectrum:
    """Amplitudes of gain over temporal frequency, in constant memory.

    Welch, "The use of fast Fourier transform for the estimation of power spectra", 1967: segments of 64 frames that
    overlap by half, minus their mean, under a Hann window, powers averaged. The input are changes d from frame to
    frame. The amplitude of the gain itself at frequency f is |FFT(d)| / |1 - exp(-2 pi i f / rate)|. No segment crosses
    a cut.
    """

    def __init__(self, frame_rate: float) -> None:
        self._rate = frame_rate
        self._recent: deque[NDArray[np.float64]] = deque(maxlen=SEGMENT)
        self._waiting = 0  # frames since the last segment
        self._power: NDArray[np.float64] | None = None
        self._segments = 0

    def add(self, changes: NDArray[np.float64]) -> None:
        """Add the next frame's changes, in stops: one for each of a fixed number of places."""
        self._recent.append(changes)
        self._waiting += 1
        if len(self._recent) == SEGMENT and self._waiting >= SEGMENT // 2:
            self._take()

    def cut(self) -> None:
        """End the shot, at a cut or at the end of the clip."""
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
        amplitude[-1] /= 2.0  # the highest frequency has no counterpart at negative frequencies
        amplitude /= 2.0 * np.sin(np.pi * self.frequencies / self._rate)[:, None]
        amplitude[self.frequencies * len(changes) < self._rate] = 0.0  # the shot is shorter than one period
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
        """Amplitude in stops of a sinusoid of each frequency, frequencies x places; zero before the first segment."""
        if self._power is None:
            return np.zeros((len(self.frequencies), 1))
        return np.sqrt(self._power / self._segments)


def peak(frequencies: NDArray[np.float64], amplitudes: NDArray[np.float64]) -> tuple[float, float]:
    """Return the frequency in hertz and the amplitude in stops of the strongest component from `SLOWEST` on."""
    top = int(np.argmax(np.where(frequencies >= SLOWEST, amplitudes, 0.0)))
    return float(frequencies[top]), float(amplitudes[top])
