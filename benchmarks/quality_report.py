"""The results of the quality benchmark to look at: a table per condition, and contact sheets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from quality_models import Answer
from quality_shots import Shot
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional

from vshdr.training.sheets import darken, tone_map_channels

Summary = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Condition, model, metric: the mean over all scenes that have it."""


@dataclass(frozen=True)
class Metric:
    """How the table shows it."""

    title: str
    digits: int
    best: str
    """"high", "low", or "zero" where nearest to zero is best."""


METRICS = {
    "jod": Metric("JOD", 2, "high"),
    "jod_surround": Metric("JOD in grey", 2, "high"),
    "pu21_psnr": Metric("PU21 dB", 2, "high"),
    "pu21_psnr_corrected": Metric("PU21 dB, response corrected", 2, "high"),
    "pu21_ssim": Metric("PU21 SSIM", 4, "high"),
    "pu21_ssim_corrected": Metric("PU21 SSIM, response corrected", 4, "high"),
    "highlight_error": Metric("highlights, stops", 2, "low"),
    "highlight_bias": Metric("  bias", 2, "zero"),
    "correlation": Metric("  correlation", 2, "high"),
    "deep_error": Metric("deep, stops", 2, "low"),
    "delta_e_itp": Metric("Delta E ITP", 2, "low"),
    "equivariance": Metric("equivariance", 4, "low"),
    "flicker": Metric("flicker", 4, "low"),
    "flicker_highlights": Metric("  in highlights", 4, "low"),
    "pumping": Metric("pumping", 4, "low"),
    "still": Metric("still", 4, "low"),
    "still_highlights": Metric("  in highlights", 4, "low"),
}
_THUMBNAIL = 256
_MARGIN, _LABEL = 6, 16


def print_tables(summary: Summary, console: Console) -> None:
    """Print a table per condition: a row per metric, a column per model, the best in bold.

    Metrics that no model has are left out.
    """
    for condition, models in summary.items():
        table = Table("", title=condition, header_style="", title_justify="left")
        for name in models:
            table.add_column(name, justify="right", no_wrap=True)
        for key, metric in METRICS.items():
            values = [row.get(key, math.nan) for row in models.values()]
            if all(math.isnan(value) for value in values):
                continue
            best = _best(metric, values)
            texts = ["-" if math.isnan(value) else f"{value:.{metric.digits}f}" for value in values]
            table.add_row(
                metric.title,
                *(f"[bold]{text}[/bold]" if value == best else text for text, value in zip(texts, values, strict=True)),
            )
        console.print(table)


def _best(metric: Metric, values: Sequence[float]) -> float:
    present = [value for value in values if not math.isnan(value)]
    return {"high": max, "low": min, "zero": lambda found: min(found, key=abs)}[metric.best](present)


class ContactSheet:
    """Small pictures of one condition: SDR, each model and the truth, tone-mapped, and below each the same
    three stops down.
    """

    def __init__(self) -> None:
        self._rows: list[tuple[str, dict[str, Tensor]]] = []

    def add(self, shot: Shot, answers: Mapping[str, Answer]) -> None:
        """Add a row: the middle frame of a shot."""
        lights = {name: answer.frames[shot.middle] for name, answer in answers.items()}
        panels = {"SDR": torch.cat([_small(shot.sdr[shot.middle])] * 2, dim=1)}
        for name, light in (lights | {"truth": shot.truth[shot.middle]}).items():
            small = _small(light)
            panels[name] = torch.cat((tone_map_channels(small), darken(small)), dim=1)
        self._rows.append((shot.scene, panels))

    def save(self, path: Path) -> None:
        """Write a PNG."""
        names = list(self._rows[0][1])
        height, width = self._rows[0][1]["SDR"].shape[1:]
        columns, rows = width + _MARGIN, height + _MARGIN + _LABEL
        sheet = Image.new("RGB", (len(names) * columns + _MARGIN, len(self._rows) * rows + _MARGIN), (22, 22, 22))
        draw = ImageDraw.Draw(sheet)
        for index, (scene, panels) in enumerate(self._rows):
            top = _MARGIN + index * rows
            for number, name in enumerate(names):
                left = _MARGIN + number * columns
                label = f"{scene}: SDR" if name == "SDR" else name
                draw.text((left, top), label, fill=(230, 230, 230), font=ImageFont.load_default(12))
                pixels = (panels[name].clamp(0.0, 1.0) * 255.0).round().byte().permute(1, 2, 0).numpy()
                sheet.paste(Image.fromarray(np.ascontiguousarray(pixels)), (left, top + _LABEL))
        sheet.save(path, format="PNG")


def _small(picture: Tensor) -> Tensor:
    _, height, width = picture.shape
    if width <= _THUMBNAIL:
        return picture
    return functional.interpolate(picture[None], (max(1, round(height * _THUMBNAIL / width)), _THUMBNAIL), mode="area")[
        0
    ]
