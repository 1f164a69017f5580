"""The report of `vshdr flicker` as tables: for the terminal, as JSON and as CSV."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from vshdr import __version__
from vshdr.metrics.flicker.comparison import Clip, Comparison
from vshdr.metrics.flicker.metric_table import PER_CLIP, PER_FRAME, PER_SHOT, Metric
from vshdr.runtime.files import atomic_write

METRICS = PER_FRAME | PER_SHOT | PER_CLIP
_TERMINAL_SHOTS = 20
_ROLES = {"clip": "", "source": "\n(source)", "truth": "\n(truth)"}


def print_tables(comparison: Comparison, console: Console) -> None:
    """Print a row per metric and a column per clip, the best in bold; then the shots, if there are several; then the
    worst frames.
    """
    table = _table(comparison, "")
    for name, metric in METRICS.items():
        values = [clip.totals.get(name, math.nan) for clip in comparison.clips]
        if not all(math.isnan(value) for value in values):
            label = f"{metric.title}, {metric.unit}" if metric.unit else metric.title
            table.add_row(label, *_cells(metric, comparison.clips, values))
    console.print(table)
    if len(comparison.shots) > 1:
        console.print(_shot_table(comparison))
    if not math.isnan(comparison.equivariance):
        console.print(
            f"equivariance error of {comparison.options.model}: {comparison.equivariance:.4f} stops", highlight=False
        )
    for worst in comparison.worst_frames:
        name = comparison.clips[worst.clip].name
        console.print(
            f"frame {worst.frame} ({comparison.seconds(worst.frame):.2f} s): {name} changes by {worst.score:.3f} stops",
            highlight=False,
            markup=False,
        )


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return all that was measured in types that JSON has: None for NaN and infinity."""
    return {
        "vshdr": __version__,
        "settings": dataclasses.asdict(comparison.options),
        "frames": comparison.frames,
        "frame_rate": comparison.frame_rate,
        "size": list(comparison.size),
        "metrics": {name: dataclasses.asdict(metric) for name, metric in METRICS.items()},
        "equivariance": _finite(comparison.equivariance),
        "shots": [{"start": shot.start, "end": shot.end, "begins": shot.begins} for shot in comparison.shots],
        "worst": [
            {"frame": worst.frame, "clip": comparison.clips[worst.clip].name, "excess": _finite(worst.score)}
            for worst in comparison.worst_frames
        ],
        "clips": [_clip(comparison, clip) for clip in comparison.clips],
    }


def _clip(comparison: Comparison, clip: Clip) -> dict[str, Any]:
    numbers = range(len(comparison.shots))
    return {
        "name": clip.name,
        "role": clip.role,
        "scale": clip.scale,
        "total": {name: _finite(value) for name, value in clip.totals.items()},
        "shots": [
            {name: _finite(value) for name, value in comparison.shot_means(clip, number).items()} for number in numbers
        ],
        "spectrum": {name: [round(v, 6) for v in curve.tolist()] for name, curve in clip.meter.spectrum().items()},
        "per_frame": {name: [_finite(v) for v in clip.meter.track.column(name).tolist()] for name in PER_FRAME},
    }


def write_json(comparison: Comparison, path: str | Path) -> None:
    """Write `as_json` to a file. Raise OSError if it cannot be written."""
    with atomic_write(path) as part:
        part.write_text(json.dumps(as_json(comparison), allow_nan=False) + "\n")


def write_csv(comparison: Comparison, path: str | Path) -> None:
    """Write a row per frame and clip: frame, seconds, shot, clip, role, and the numbers of `PER_FRAME`, empty for NaN.

    Raise OSError if the file cannot be written.
    """
    with atomic_write(path) as part, part.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("frame", "seconds", "shot", "clip", "role", *PER_FRAME))
        for clip in comparison.clips:
            columns = [clip.meter.track.column(name) for name in PER_FRAME]
            for number, shot in enumerate(comparison.shots):
                for frame in range(shot.start, shot.end):
                    values = ["" if math.isnan(v) else f"{v:.6g}" for v in (float(column[frame]) for column in columns)]
                    which = (frame, f"{comparison.seconds(frame):.6f}", number + 1, clip.name, clip.role)
                    writer.writerow((*which, *values))


def _table(comparison: Comparison, first: str) -> Table:
    table = Table(first, header_style="")
    for clip in comparison.clips:
        table.add_column(clip.name + _ROLES[clip.role], justify="right", no_wrap=True)
    return table


def _shot_table(comparison: Comparison) -> Table:
    """Return a table of the shots that flicker most, in the order of time."""
    metric = PER_FRAME["excess"]
    means = [
        [comparison.shot_means(clip, number)["excess"] for clip in comparison.clips]
        for number in range(len(comparison.shots))
    ]
    strongest = sorted(range(len(means)), key=lambda n: -max((v for v in means[n] if not math.isnan(v)), default=0.0))
    table = _table(comparison, f"{metric.title} by shot, {metric.unit}")
    for number in sorted(strongest[:_TERMINAL_SHOTS]):
        shot = comparison.shots[number]
        table.add_row(
            f"{number + 1}: frames {shot.start} to {shot.end - 1}", *_cells(metric, comparison.clips, means[number])
        )
    if len(means) > _TERMINAL_SHOTS:
        table.caption = f"the {_TERMINAL_SHOTS} of {len(means)} shots that flicker most"
    return table


def _cells(metric: Metric, clips: list[Clip], values: list[float]) -> list[str]:
    """Return the numbers of one metric as text. Among several clips the best is bold, source and truth apart."""
    texts = ["-" if math.isnan(value) else f"{value:.{metric.digits}f}" for value in values]
    rated = [v for clip, v in zip(clips, values, strict=True) if clip.role == "clip" and not math.isnan(v)]
    if len(rated) < 2 or not metric.best:
        return texts
    best = min(rated) if metric.best == "low" else max(rated)
    return [
        f"[bold]{text}[/bold]" if value == best and clip.role == "clip" else text
        for clip, value, text in zip(clips, values, texts, strict=True)
    ]


def _finite(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
