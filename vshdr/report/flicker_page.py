"""What `vshdr flicker` found, as one page that needs nothing beside itself."""

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

from vshdr.metrics.flicker.change import WHITE
from vshdr.metrics.flicker.comparison import Clip, Comparison
from vshdr.metrics.flicker.meter import PER_FRAME
from vshdr.metrics.flicker.worst_frames import DARKEST, STEPS_PER_STOP, packed
from vshdr.report.flicker_tables import as_json
from vshdr.runtime.files import atomic_write

POINTS = 2000
"""Points of a curve at most; of longer clips each point is the largest of several frames."""
_HEAT_SHARE = 0.99  # of all places, that the colours of the heat maps tell apart


def write_page(comparison: Comparison, path: str | Path) -> None:
    """Write the page: plots, the worst frames with their HDR pictures, heat maps, all numbers. Raise OSError where
    the file cannot be written.
    """
    with atomic_write(path) as part:
        part.write_text(page(comparison), encoding="utf-8")


def page(comparison: Comparison) -> str:
    """Return the page as HTML."""
    folder = files("vshdr.report") / "assets"
    # In a script element nothing is escaped, and only "</" could end it.
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
                "pictures": [packed(before, now) for before, now in worst_frame.pictures],
            }
            for worst_frame in comparison.worst_frames
        ],
    }


def _thinned(values: NDArray[np.float32], step: int) -> list[float | None]:
    """Return the largest of each `step` values, None where all are NaN."""
    groups = (values[start : start + step] for start in range(0, len(values), step))
    largest = (max((float(v) for v in group if not math.isnan(v)), default=None) for group in groups)
    return [None if value is None else float(f"{value:.4g}") for value in largest]


def _heat(clip: Clip, end: float) -> dict[str, Any]:
    heat = clip.meter.heat
    values = (heat / end * 255.0).round().clamp(0, 255).byte().numpy()
    return {"width": heat.shape[1], "height": heat.shape[0], "values": base64.b64encode(values.tobytes()).decode()}
