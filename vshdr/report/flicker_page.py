"""The report of `vshdr flicker` as one HTML page that loads nothing else."""

from __future__ import annotations

import base64
import json
import math
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vshdr.metrics.flicker.comparison import Clip, Comparison
from vshdr.metrics.flicker.frame_difference import WHITE
from vshdr.metrics.flicker.metric_table import PER_FRAME
from vshdr.report.flicker_tables import as_json
from vshdr.report.packed_pictures import DARKEST, STEPS_PER_STOP, pack
from vshdr.runtime.files import atomic_write

POINTS = 2000
"""Largest number of points of a curve; in longer clips each point is the largest of several frames."""
_HEAT_SHARE = 0.99  # the colours of a heat map end at this quantile of its values


def write_page(comparison: Comparison, path: str | Path) -> None:
    """Write the page: plots, the worst frames with their HDR pictures, heat maps and all numbers.

    Raise OSError if the file cannot be written.
    """
    with atomic_write(path) as part:
        part.write_text(page(comparison), encoding="utf-8")


def page(comparison: Comparison) -> str:
    """Return the page as HTML."""
    folder = files("vshdr.report") / "assets"
    # Nothing is escaped in a script element, but "</" could end it.
    data = json.dumps(_data(comparison), allow_nan=False).replace("</", "<\\/")
    html = (folder / "page.html").read_text("utf-8")
    for mark, text in (
        ("/*STYLE*/", (folder / "page.css").read_text("utf-8")),
        ("/*SCRIPT*/", (folder / "page.js").read_text("utf-8")),
        ("/*DATA*/", data),
    ):
        before, _, after = html.partition(mark)
        html = before + text + after
    return html


def _data(comparison: Comparison) -> dict[str, Any]:
    """Return what `page.js` draws."""
    report = as_json(comparison)
    step = -(-comparison.frames // POINTS)
    rated = [clip for clip in comparison.clips if clip.role == "clip"]
    heat_end = max(float(torch.quantile(clip.meter.heat, _HEAT_SHARE)) for clip in rated) or 1e-3
    return {
        **{name: report[name] for name in ("vshdr", "frames", "frame_rate", "size", "metrics", "shots")},
        "white": WHITE,
        "step": step,
        "code": {"per_stop": STEPS_PER_STOP, "darkest": DARKEST},
        "heat_end": heat_end,
        "clips": [
            {
                **{name: entry[name] for name in ("name", "role", "total", "spectrum")},
                "shots": [shot["excess"] for shot in entry["shots"]],
                "series": {name: _thinned(clip.meter.track.column(name), step) for name in PER_FRAME},
                "heat": _heat(clip, heat_end),
            }
            for clip, entry in zip(comparison.clips, report["clips"], strict=True)
        ],
        "worst_frames": [
            {
                "frame": worst_frame.frame,
                "score": worst_frame.score,
                "clip": worst_frame.clip,
                "width": worst_frame.pictures[0][1].shape[2],
                "height": worst_frame.pictures[0][1].shape[1],
                "pictures": [pack(before, now) for before, now in worst_frame.pictures],
            }
            for worst_frame in comparison.worst_frames
        ],
    }


def _thinned(values: NDArray[np.float32], step: int) -> list[float | None]:
    """Return the largest of each `step` successive values, None where all are NaN."""
    groups = (values[start : start + step] for start in range(0, len(values), step))
    largest = (max((float(v) for v in group if not math.isnan(v)), default=None) for group in groups)
    return [None if value is None else float(f"{value:.4g}") for value in largest]


def _heat(clip: Clip, end: float) -> dict[str, Any]:
    """Return a clip's heat map in bytes, 255 for `end` stops per frame and above."""
    heat = clip.meter.heat
    values = (heat / end * 255.0).round().clamp(0, 255).byte().numpy()
    return {"width": heat.shape[1], "height": heat.shape[0], "values": base64.b64encode(values.tobytes()).decode()}
