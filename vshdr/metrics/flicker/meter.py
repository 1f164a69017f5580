"""The flicker of one clip: all metrics, frame by frame, in memory that does not grow with its pictures."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d

from vshdr.metrics.flicker.breathing import boiling, cells, pumping
from vshdr.metrics.flicker.change import Change, Light, Reference, change, mean
from vshdr.metrics.flicker.exposure import PERCENTILES, exposure_jitter
from vshdr.metrics.flicker.motion import Motion
from vshdr.metrics.flicker.smoothness import Energy
from vshdr.metrics.flicker.warped import beyond_truth, excess, warped_error
from vshdr.metrics.flicker.waveform import Lamp, Spectrum, peak


@dataclass(frozen=True)
class Metric:
    """How a number is shown."""

    title: str
    unit: str
    meaning: str
    """One sentence for people."""
    digits: int = 4
    best: str = "low"
    """"low", "high", or "" where neither is better."""


_STOPS, _PU21 = "stops per frame", "PU21 units per frame"
PER_FRAME = {
    "excess": Metric("flicker", _STOPS, "how much the gain (HDR over SDR) changes along the motion"),
    "excess_highlights": Metric("flicker in highlights", _STOPS, "the same where the source is at or near its maximum"),
    "excess_pu21": Metric("flicker, PU21", _PU21, "the same in steps that look equal", 3),
    "excess_pu21_highlights": Metric("flicker in highlights, PU21", _PU21, "the same in highlights", 3),
    "beyond_truth": Metric("beyond the truth", _STOPS, "how much more the gain changes than the truth's does"),
    "beyond_truth_highlights": Metric("beyond the truth in highlights", _STOPS, "the same in highlights"),
    "warped": Metric(
        "all change", _STOPS, "how much light changes along the motion, grain and waves included", best=""
    ),
    "warped_highlights": Metric("all change in highlights", _STOPS, "the same in highlights", best=""),
    "warped_pu21": Metric("all change, PU21", _PU21, "the same in steps that look equal", 3, ""),
    "warped_pu21_highlights": Metric("all change in highlights, PU21", _PU21, "the same in highlights", 3, ""),
    **{
        f"jitter_{percentile}": Metric(
            f"exposure jitter, {percentile} %",
            _STOPS,
            f"how much the {percentile}th percentile of light moves against the source's",
        )
        for percentile in PERCENTILES
    },
    "pumping": Metric("local pumping", _STOPS, "how much whole regions brighten and darken where nothing moves"),
    "boiling": Metric("boiling", _STOPS, "how much the gain seethes in highlights that do not move"),
}
"""What each frame has. Numbers are NaN for the first frame of a shot, and where nothing is there to be measured."""

PER_SHOT = {
    "percent_flicker": Metric("percent flicker", "%", "of the overall gain in a second, as for lamps (IES)", 2),
    "percent_flicker_worst": Metric("percent flicker, worst second", "%", "the largest of these", 2),
    "flicker_index": Metric("flicker index", "", "of the overall gain in a second, 0 to 1 (IES)"),
}
PER_CLIP = {
    "peak_frequency": Metric("strongest frequency", "Hz", "at which the overall gain swings most, from 1 Hz on", 1, ""),
    "peak_amplitude": Metric("  its amplitude", "stops", "how far it swings there"),
    "local_peak_frequency": Metric(
        "strongest frequency, local", "Hz", "at which regions swing most, from 1 Hz on", 1, ""
    ),
    "local_peak_amplitude": Metric("  its amplitude", "stops", "how far they swing there, root mean square"),
    "smoothness": Metric(
        "smoothness S", "", "fast change of the source over the clip's; above 1 is smoother", 3, "high"
    ),
    "smoothness_normalised": Metric("smoothness, scale-free", "", "the same, each over its clip's power", 3, "high"),
    "jod": Metric("ColorVideoVDP", "JOD", "10 is no visible difference to the truth", 2, "high"),
}


class Track:
    """Numbers that frames have, by name; four bytes each."""

    def __init__(self, names: Iterable[str]) -> None:
        self._columns = {name: array("f") for name in names}

    def add(self, values: dict[str, float]) -> None:
        """The next frame's numbers; a name that is missing is NaN."""
        for name, column in self._columns.items():
            column.append(values.get(name, math.nan))

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))

    def column(self, name: str) -> NDArray[np.float32]:
        """Return all frames' numbers of one name."""
        return np.frombuffer(self._columns[name], np.float32) if len(self) else np.zeros(0, np.float32)

    def means(self, start: int, end: int) -> dict[str, float]:
        """Return the mean of each over frames `start` to `end` - 1 that have it."""
        return {name: _mean(self.column(name)[start:end]) for name in self._columns}


class ClipMeter:
    """Measures one clip against a reference."""

    def __init__(self, frame_rate: float) -> None:
        self.track = Track(PER_FRAME)
        self.shots: list[dict[str, float]] = []
        """The numbers of `PER_SHOT`, for each shot that is over."""
        self.energy, self.delivered_energy = Energy(), Energy()
        self._frame_rate = frame_rate
        self._before: Light | None = None
        self._lamp, self._whole_lamp = Lamp(frame_rate), Lamp(frame_rate)
        self._spectrum = Spectrum(frame_rate)
        self._heat = self._seen = torch.zeros(1)

    def add(
        self,
        light: Light,
        reference: Reference,
        before: Reference | None,
        motion: Motion | None,
        truth: Change | None = None,
    ) -> Change | None:
        """Return the next frame; `before` and `motion` are None where a shot begins. Return what changed."""
        if self._before is None or before is None or motion is None:
            self._before = light
            self.track.add({})
            return None
        now = change(light, self._before, reference, before, motion)
        self._before = light
        self.track.add(frame_metrics(now, light, reference) | (beyond_truth(now, truth) if truth else {}))
        self._follow(now)
        return now

    def _follow(self, now: Change) -> None:
        """What is gathered over many frames."""
        overall = mean(now.gain, now.weight)
        local, _ = cells(now, now.weight)
        for lamp in (self._lamp, self._whole_lamp):
            lamp.add(overall)
        self._spectrum.add(np.append(local.flatten().double().numpy(), 0.0 if math.isnan(overall) else overall))
        size = max(1, now.weight.shape[3] // 160)
        self._heat = self._heat + avg_pool2d(now.gain.abs() * now.weight, size)
        self._seen = self._seen + avg_pool2d(now.weight, size)

    def cut(self) -> None:
        """A new shot begins with the next frame, or the clip is over."""
        self._lamp.cut()
        self._whole_lamp.cut()
        self.shots.append(self._lamp.summary())
        self._lamp = Lamp(self._frame_rate)
        self._spectrum.cut()
        self.energy.cut()
        self.delivered_energy.cut()
        self._before = None

    @property
    def heat(self) -> Tensor:
        """h x w: the mean change of gain at each place, in stops per frame."""
        return (self._heat / self._seen.clamp_min(1e-6))[0, 0] if self._heat.ndim == 4 else torch.zeros(1, 1)

    def spectrum(self) -> dict[str, NDArray[np.float64]]:
        """`frequencies` in hertz, and amplitudes of the gain in stops: `whole`, of the picture's mean, and `local`,
        the root mean square over cells, 16 across the picture.
        """
        amplitudes = self._spectrum.amplitudes
        local = np.sqrt(np.square(amplitudes[:, :-1]).mean(axis=1)) if amplitudes.shape[1] > 1 else amplitudes[:, 0]
        return {"frequencies": self._spectrum.frequencies, "whole": amplitudes[:, -1], "local": local}

    def totals(self) -> dict[str, float]:
        """Return the whole clip's numbers: means of `PER_FRAME`, of `PER_SHOT`, and the spectrum's peaks."""
        spectrum = self.spectrum()
        values = self.track.means(0, len(self.track)) | self._whole_lamp.summary()
        for prefix, curve in (("", "whole"), ("local_", "local")):
            frequency, amplitude = peak(spectrum["frequencies"], spectrum[curve])
            values |= {f"{prefix}peak_frequency": frequency, f"{prefix}peak_amplitude": amplitude}
        return values


def frame_metrics(now: Change, light: Light, reference: Reference) -> dict[str, float]:
    """Return the numbers of `PER_FRAME` but for those that need the truth."""
    return {
        **excess(now),
        **warped_error(now),
        **exposure_jitter(light, reference, now),
        **pumping(now),
        **boiling(now),
    }


def _mean(values: NDArray[np.float32]) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean(dtype=np.float64)) if len(there) else math.nan
