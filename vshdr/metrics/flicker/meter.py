"""The flicker of one clip: all metrics, frame by frame, in memory that does not grow with its pictures."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d

from vshdr.metrics.flicker.exposure_jitter import exposure_jitter
from vshdr.metrics.flicker.frame_difference import (
    EncodedLuminance,
    FrameDifference,
    Reference,
    frame_difference,
    weighted_mean,
)
from vshdr.metrics.flicker.metric_table import PER_FRAME
from vshdr.metrics.flicker.motion import Motion
from vshdr.metrics.flicker.percent_flicker import PercentFlicker
from vshdr.metrics.flicker.pumping_boiling import boiling, cells, pumping
from vshdr.metrics.flicker.smoothness import TemporalEnergy
from vshdr.metrics.flicker.spectrum import Spectrum, peak
from vshdr.metrics.flicker.warped_error import beyond_truth, excess, warped_error

_HEAT_WIDTH = 160  # pixels across the heat map, about


class Track:
    """A series of numbers for each name, one per frame, four bytes each."""

    def __init__(self, names: Iterable[str]) -> None:
        self._columns = {name: array("f") for name in names}

    def add(self, values: dict[str, float]) -> None:
        """Add the next frame's numbers; those that are missing become NaN.

        Raise KeyError for a number that the track has no name for: it would be lost in silence.
        """
        unknown = values.keys() - self._columns.keys()
        if unknown:
            raise KeyError(f"{min(unknown)} is not in the table of metrics")
        for name, column in self._columns.items():
            column.append(values.get(name, math.nan))

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))

    def column(self, name: str) -> NDArray[np.float32]:
        """Return the numbers of all frames for one name."""
        return np.frombuffer(self._columns[name], np.float32) if len(self) else np.zeros(0, np.float32)

    def means(self, start: int, end: int) -> dict[str, float]:
        """Return for each name the mean over frames `start` to `end` - 1, without NaN."""
        return {name: _mean(self.column(name)[start:end]) for name in self._columns}


class ClipMeter:
    """Measures one clip against a reference, frame by frame."""

    def __init__(self, frame_rate: float) -> None:
        self.track = Track(PER_FRAME)
        self.shots: list[dict[str, float]] = []
        """The numbers of `PER_SHOT` for each shot that has ended."""
        self.energy = TemporalEnergy()
        """Of the clip with its mid-tones matched to the source."""
        self.delivered_energy = TemporalEnergy()
        """Of the clip as it was delivered."""
        self._frame_rate = frame_rate
        self._before: EncodedLuminance | None = None
        self._shot_flicker, self._clip_flicker = PercentFlicker(frame_rate), PercentFlicker(frame_rate)
        self._spectrum = Spectrum(frame_rate)
        self._heat = self._seen = torch.zeros(1)

    def add(
        self,
        luminance: EncodedLuminance,
        reference: Reference,
        before: Reference | None,
        motion: Motion | None,
        truth: FrameDifference | None = None,
    ) -> FrameDifference | None:
        """Measure the next frame and return its difference to the one before; None at the first frame of a shot.

        `reference` and `before` are the reference's frames now and before, `motion` leads from this frame to the one
        before; the latter two are None where a shot begins. `truth` is the difference that the truth has here.
        """
        if self._before is None or before is None or motion is None:
            self._before = luminance
            self.track.add({})
            return None
        difference = frame_difference(luminance, self._before, reference, before, motion)
        self._before = luminance
        numbers = frame_metrics(difference, luminance, reference)
        self.track.add(numbers | (beyond_truth(difference, truth) if truth else {}))
        self._accumulate(difference)
        return difference

    def _accumulate(self, difference: FrameDifference) -> None:
        """Add a frame to what needs many frames."""
        overall = weighted_mean(difference.gain, difference.weight)
        local, _ = cells(difference, difference.weight)
        for flicker in (self._shot_flicker, self._clip_flicker):
            flicker.add(overall)
        self._spectrum.add(np.append(local.flatten().double().numpy(), 0.0 if math.isnan(overall) else overall))
        size = max(1, difference.weight.shape[3] // _HEAT_WIDTH)
        self._heat = self._heat + avg_pool2d(difference.gain.abs() * difference.weight, size)
        self._seen = self._seen + avg_pool2d(difference.weight, size)

    def cut(self) -> None:
        """End the shot, at a cut or at the end of the clip."""
        self._shot_flicker.cut()
        self._clip_flicker.cut()
        self.shots.append(self._shot_flicker.summary())
        self._shot_flicker = PercentFlicker(self._frame_rate)
        self._spectrum.cut()
        self.energy.cut()
        self.delivered_energy.cut()
        self._before = None

    @property
    def heat(self) -> Tensor:
        """The heat map, h x w: the mean |change of gain| at each place, in stops per frame."""
        return (self._heat / self._seen.clamp_min(1e-6))[0, 0] if self._heat.ndim == 4 else torch.zeros(1, 1)

    def spectrum(self) -> dict[str, NDArray[np.float64]]:
        """Return `frequencies` in hertz and amplitudes of the gain in stops: `whole`, of the mean over the picture, and
        `local`, the root mean square over cells.
        """
        amplitudes = self._spectrum.amplitudes
        local = np.sqrt(np.square(amplitudes[:, :-1]).mean(axis=1)) if amplitudes.shape[1] > 1 else amplitudes[:, 0]
        return {"frequencies": self._spectrum.frequencies, "whole": amplitudes[:, -1], "local": local}

    def totals(self) -> dict[str, float]:
        """Return the numbers of the whole clip: means of `PER_FRAME`, `PER_SHOT`, and the peaks of the spectrum."""
        spectrum = self.spectrum()
        values = self.track.means(0, len(self.track)) | self._clip_flicker.summary()
        for prefix, curve in (("", "whole"), ("local_", "local")):
            frequency, amplitude = peak(spectrum["frequencies"], spectrum[curve])
            values |= {f"{prefix}peak_frequency": frequency, f"{prefix}peak_amplitude": amplitude}
        return values


def frame_metrics(difference: FrameDifference, luminance: EncodedLuminance, reference: Reference) -> dict[str, float]:
    """Return the numbers of `PER_FRAME` that do not need the truth."""
    return {
        **excess(difference),
        **warped_error(difference),
        **exposure_jitter(luminance, reference, difference),
        **pumping(difference),
        **boiling(difference),
    }


def _mean(values: NDArray[np.float32]) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean(dtype=np.float64)) if len(there) else math.nan
