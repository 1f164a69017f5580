"""Pictures to look at during training: contact sheets of validation frames, and a plot of the loss."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from vshdr.colour.transfer import INVERSE_EOTF
from vshdr.runtime.files import atomic_write
from vshdr.training.log import Record

_BACKGROUND, _GRID, _INK = (22, 22, 22), (60, 60, 60), (230, 230, 230)
_COLOURS = {"training": (90, 140, 255), "validation": (255, 160, 60)}
_MARGIN, _LABEL, _LABEL_WIDTH = 6, 18, 100


def tone_map_channels(linear: Tensor) -> Tensor:
    """Return light as sRGB code values: Reinhard's curve with white at 16 times SDR white, per channel."""
    light = linear.clamp_min(0.0)
    return INVERSE_EOTF["srgb"]((light * (1.0 + light / 256.0) / (1.0 + light)).clamp(0.0, 1.0))


def darken(linear: Tensor) -> Tensor:
    """Return light as sRGB code values three stops darker, which shows what is in the highlights."""
    return INVERSE_EOTF["srgb"]((linear / 8.0).clamp(0.0, 1.0))


def contact_sheet(path: Path, sdr: Tensor, output: Tensor, truth: Tensor, title: str) -> None:
    """Write a PNG with a row for each of N x 3 x H x W frames: the SDR, output and truth tone-mapped, and both three
    stops darker.
    """
    columns = {
        "SDR": sdr,
        "output": tone_map_channels(output),
        "truth": tone_map_channels(truth),
        "output, -3 stops": darken(output),
        "truth, -3 stops": darken(truth),
    }
    count, _, height, width = sdr.shape
    top, column = 2 * (_LABEL + _MARGIN), max(width, _LABEL_WIDTH) + _MARGIN
    sheet = Image.new("RGB", (len(columns) * column + _MARGIN, top + count * (height + _MARGIN)), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN // 2), title, fill=_INK, font=ImageFont.load_default(13))
    for number, (label, pictures) in enumerate(columns.items()):
        left = _MARGIN + number * column
        draw.text((left, _LABEL + _MARGIN), label, fill=_INK, font=ImageFont.load_default(12))
        codes = (pictures.float().nan_to_num().clamp(0.0, 1.0) * 255.0).round().byte()
        codes = codes.permute(0, 2, 3, 1).cpu().numpy()
        for row in range(count):
            sheet.paste(Image.fromarray(codes[row]), (left, top + row * (height + _MARGIN)))
    _save(sheet, path)


def loss_plot(path: Path, records: list[Record]) -> None:
    """Write a PNG of the training and validation losses over the steps, on a logarithmic scale if all are positive."""
    curves = {
        "training": [(record["step"], record["loss"]) for record in records if "loss" in record],
        "validation": [(record["step"], record["validation"]["loss"]) for record in records if "validation" in record],
    }
    points = [point for curve in curves.values() for point in curve if math.isfinite(point[1])]
    if not points:
        return
    width, height, left, right, top, bottom = 960, 480, 80, 16, 34, 36
    logarithmic = min(loss for _, loss in points) > 0.0
    values = torch.tensor([loss for _, loss in points], dtype=torch.float64)
    values = values.log10() if logarithmic else values
    low, high = float(values.min()), float(values.max())
    low, high = low - 0.05 * (high - low) - 1e-3, high + 0.05 * (high - low) + 1e-3
    last = max(1, max(step for step, _ in points))

    def place(step: float, value: float) -> tuple[float, float]:
        return (
            left + (width - left - right) * step / last,
            top + (height - top - bottom) * (high - value) / (high - low),
        )

    sheet = Image.new("RGB", (width, height), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    ticks = min(5, last)
    for tick in range(ticks + 1):
        value, step = low + (high - low) * tick / ticks, last * tick / ticks
        _, y = place(0, value)
        x, _ = place(step, low)
        draw.line((left, y, width - right, y), fill=_GRID)
        draw.text((left - 8, y), f"{10**value if logarithmic else value:.3g}", fill=_INK, font=font, anchor="rm")
        draw.text((x, height - bottom + 8), f"{step:.0f}", fill=_INK, font=font, anchor="mt")
    for number, (name, curve) in enumerate(curves.items()):
        line = [place(step, math.log10(loss) if logarithmic else loss) for step, loss in curve if math.isfinite(loss)]
        if len(line) > 1:
            draw.line(line, fill=_COLOURS[name], width=2)
        for x, y in line if name == "validation" else ():
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=_COLOURS[name])
        draw.text((left + 110 * number, 10), name, fill=_COLOURS[name], font=font)
    draw.text((width - right, 10), "loss over steps", fill=_INK, font=font, anchor="rt")
    _save(sheet, path)


def _save(sheet: Image.Image, path: Path) -> None:
    with atomic_write(path) as part:
        sheet.save(part, format="PNG")
