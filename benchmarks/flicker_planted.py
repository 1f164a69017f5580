"""Does the flicker metric find what was planted, and nothing else? Clips whose flicker is known exactly."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from quality_shots import FRAME_RATE, Footage
from torch import Tensor

from vshdr.metrics.flicker.frame_difference import HIGHLIGHT, WHITE, encode_luminance, from_source
from vshdr.metrics.flicker.meter import ClipMeter
from vshdr.metrics.flicker.motion import estimate_motion, known_motion
from vshdr.metrics.jod import Jod

AMPLITUDES = (0.05, 0.1, 0.25, 0.5, 1.0)
"""Stops."""
FREQUENCIES = (2.0, 6.0, 11.0)
"""Hertz."""
CLIPPED = 0.07
"""Share of the picture's samples that the SDR clips."""


@dataclass(frozen=True)
class Plant:
    """Flicker to be planted."""

    kind: str
    """"whole": the whole picture swings; "region": its left quarter; "boil": each highlight pixel at random."""
    amplitude: float
    """Of the swing in stops; of "boil" the standard deviation."""
    hertz: float = 6.0
    """Of the swing."""

    @property
    def name(self) -> str:
        return f"{self.kind} {self.amplitude:g} stop" + ("" if self.kind == "boil" else f", {self.hertz:g} Hz")

    def stops(self, light: Tensor) -> Tensor:
        """Return what is added to the clip's light, T x 3 x H x W, in stops: T x 1 x H x W."""
        frames, _, height, width = light.shape
        if self.kind == "boil":
            noise = torch.randn(frames, 1, height, width, generator=torch.Generator().manual_seed(7))
            return self.amplitude * noise * (light.amax(dim=1, keepdim=True) >= HIGHLIGHT)
        swing = self.amplitude * torch.sin(2 * math.pi * self.hertz / FRAME_RATE * torch.arange(frames))
        where = torch.ones(1, 1, height, width)
        if self.kind == "region":
            where[..., width // 4 :] = 0.0
        return swing.reshape(-1, 1, 1, 1) * where


def plants(amplitudes: Sequence[float] = AMPLITUDES) -> Iterator[Plant]:
    """Yield all that is planted, one after the other."""
    for amplitude in amplitudes:
        for hertz in FREQUENCIES:
            yield Plant("whole", amplitude, hertz)
        yield Plant("region", amplitude)
        yield Plant("boil", amplitude)


def exposed(reel: Footage, bits: int = 8) -> tuple[Tensor, Tensor]:
    """Return the reel's light with SDR white at 1.0, and the SDR of it in codes of so many bits, linearised."""
    light = reel.light / reel.light[0].flatten().quantile(1.0 - CLIPPED)
    steps = 2.0**bits - 1.0
    code = (light.clamp(0.0, 1.0).pow(1 / 2.4) * steps).round() / steps
    return light, code.pow(2.4)


def standing(reel: Footage) -> Footage:
    """Return the reel's first frame again and again."""
    frames = len(reel.light)
    grid = reel.grid[:1].expand(frames, -1, -1, -1)
    return Footage(
        name=f"{reel.name}, still",
        light=reel.light[:1].expand_as(reel.light),
        grid=grid,
        valid=torch.ones_like(reel.valid),
    )


def measure(clip: Tensor, sdr: Tensor, reel: Footage, *, exactly: bool, truth: Tensor | None = None) -> ClipMeter:
    """Return a finished meter with all metrics of a clip, T x 3 x H x W linear, against its linearised SDR.

    Motion is the reel's exact one or followed in the SDR.
    """
    meter, of_truth, before = ClipMeter(FRAME_RATE), ClipMeter(FRAME_RATE), None
    for index in range(len(clip)):
        now = from_source(sdr[index, None])
        move = None
        if before is not None:
            grid, valid = reel.grid[index, None], reel.valid[index, None]
            move = known_motion(grid, valid) if exactly else estimate_motion(now.guide, before.guide)
        known = of_truth.add(encode_luminance(truth[index, None]), now, before, move) if truth is not None else None
        meter.add(encode_luminance(clip[index, None]), now, before, move, known)
        before = now
    meter.cut()
    return meter


def recover(reel: Footage, amplitudes: Sequence[float]) -> list[dict[str, Any]]:
    """Return each plant on a reel: what was planted, what was found along exact and along followed motion.

    A whole picture's flicker is looked for in `excess`, a region's in the heat map at its place, boiling in `boiling`,
    which needs a still reel.
    """
    light, sdr = exposed(reel)
    moves = not torch.equal(reel.light[0], reel.light[-1])
    rows = []
    for plant in plants(amplitudes):
        if plant.kind == "boil" and moves:
            continue
        stops = plant.stops(light)
        change = float(stops[..., 0].flatten(1).diff(dim=0).abs().mean())
        if plant.kind == "boil":  # the difference of two normal deviates, in absolute value
            change = plant.amplitude * math.sqrt(2.0) * math.sqrt(2.0 / math.pi)
        row = {"reel": reel.name, "plant": plant.name, "planted": change}
        for way, exactly in (("exact", True), ("followed", False)):
            meter = measure(light * torch.exp2(stops), sdr, reel, exactly=exactly)
            totals = meter.totals()
            inside = meter.heat[:, 1 : meter.heat.shape[1] // 4 - 1]  # of the region, away from its edges
            found = {"whole": totals["excess"], "region": float(inside.mean()), "boil": totals["boiling"]}
            row[way] = found[plant.kind]
            if plant.kind == "whole":
                row[f"{way} amplitude"], row[f"{way} hertz"] = totals["peak_amplitude"], totals["peak_frequency"]
        rows.append(row | {"amplitude": plant.amplitude, "hertz": plant.hertz, "kind": plant.kind})
    return rows


def nothing(reel: Footage, bits: int) -> dict[str, Any]:
    """Return what is found in the reel's own light, which does not flicker, against SDR of so many bits."""
    light, sdr = exposed(reel, bits)
    row = {"reel": f"{reel.name}, SDR of {bits} bits"}
    for way, exactly in (("exact", True), ("followed", False)):
        totals = measure(light, sdr, reel, exactly=exactly).totals()
        row |= {f"{way} {name}": totals[name] for name in ("excess", "excess_highlights", "jitter_50", "jitter_99")}
    return row


def agreement(reel: Footage) -> dict[str, Any]:
    """Return how well the order of the planted clips agrees with ColorVideoVDP's.

    That is Spearman's rank correlation of `excess` and `excess_pu21` with the JOD that a clip loses by its flicker.
    """
    light, sdr = exposed(reel)
    light = light.clamp_max(1500.0 / WHITE)
    predictor, rows = Jod(FRAME_RATE), []
    for plant in plants():
        clip = (light * torch.exp2(plant.stops(light))).clamp_max(1500.0 / WHITE)
        totals = measure(clip, sdr, reel, exactly=True).totals()
        lost = 10.0 - predictor(clip * WHITE, light * WHITE)
        rows.append({"plant": plant.name, "lost": lost, **{key: totals[key] for key in ("excess", "excess_pu21")}})
    lost = [row["lost"] for row in rows]
    return {
        "clips": rows,
        **{key: spearman([row[key] for row in rows], lost) for key in ("excess", "excess_pu21")},
    }


def spearman(a: list[float], b: list[float]) -> float:
    """Rank correlation; ties get the mean of their ranks."""

    def ranks(values: list[float]) -> np.ndarray:
        _, place, count = np.unique(values, return_inverse=True, return_counts=True)
        return (np.cumsum(count) - (count - 1) / 2)[place]

    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])
