"""The preview of a frame as one PNG: the SDR, the HDR tone-mapped for an SDR screen, and a map of nits."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from vshdr.colour.h273 import Primaries
from vshdr.colour.primaries import convert_primaries, luminance
from vshdr.colour.transfer import INVERSE_EOTF
from vshdr.runtime.files import atomic_write

PANEL_SIZE = 960
"""Longest side of a panel in pixels. Larger frames are averaged down, frames of less than half are enlarged."""

BANDS = (
    (1.0, (0, 0, 0)),
    (10.0, (38, 38, 38)),
    (50.0, (76, 76, 76)),
    (100.0, (118, 118, 118)),
    (math.inf, (165, 165, 165)),
)
"""Upper limits in nits and colours of the map up to SDR white. They are grey, so that colour means beyond SDR."""

HIGHLIGHT_BANDS = (
    (300.0, (30, 70, 255)),
    (500.0, (0, 190, 225)),
    (750.0, (20, 190, 50)),
    (1000.0, (255, 225, 0)),
    (2000.0, (255, 130, 0)),
    (4000.0, (225, 0, 30)),
    (math.inf, (255, 0, 220)),
)
"""Upper limits in nits and colours of the map above SDR white."""

_MARGIN = 10
_BACKGROUND, _INK, _FAINT = (22, 22, 22), (240, 240, 240), (150, 150, 150)


def write_preview(
    path: str | Path,
    sdr: Tensor,
    linear: Tensor,
    *,
    white: float = 203.0,
    peak: float = 1000.0,
    primaries: Primaries = Primaries.BT709,
    title: str = "",
) -> None:
    """Write three labelled panels as a PNG.

    `sdr` is 3 x H x W code values. `linear` is 3 x H x W light, 1.0 = `white` nits, in `primaries`. `peak` is
    the light in nits that the tone-mapped panel shows as white (0: 10000). Raise OSError if the file cannot be written.
    """
    linear = linear.float()
    nits = luminance(linear.unsqueeze(0), primaries)[0, 0] * white
    ceiling = peak or 10000.0
    shown = tone_map(convert_primaries(linear.unsqueeze(0), primaries, Primaries.BT709)[0], ceiling / white)
    above = (nits > white * 1.001).float().mean().item() * 100
    panels = [
        ("SDR as it came", _picture(_fit(sdr.float()))),
        (f"HDR for an SDR screen: Reinhard curve, {ceiling:g} nits = white", _picture(_fit(shown))),
        (
            f"luminance in nits: brightest {nits.max().item():.0f}, {above:.2g} % of the frame above SDR white",
            false_colours(_fit(nits.unsqueeze(0))[0].numpy(), white),
        ),
    ]
    with atomic_write(path) as part:
        _sheet(panels, title, white).save(part, format="PNG", compress_level=3)


def tone_map(linear: Tensor, ceiling: float) -> Tensor:
    """Return light, 3 x H x W, BT.709, as sRGB code values in [0, 1] that show shapes up to `ceiling` times SDR white.

    Reinhard et al. 2002, eq. 4, on the luminance Y: Y (1 + Y / c^2) / (1 + Y), c being the ceiling. Colours outside the
    range of the screen are clipped.
    """
    linear = linear.clamp_min(0.0)
    light = luminance(linear.unsqueeze(0))[0]
    squeezed = (1.0 + light / ceiling**2) / (1.0 + light)
    return INVERSE_EOTF["srgb"]((linear * squeezed).clamp(0.0, 1.0))


def false_colours(nits: NDArray[np.float32], white: float) -> NDArray[np.uint8]:
    """Return a map of `nits`, H x W, in the colours of `bands(white)`, H x W x 3."""
    edges, colours = zip(*bands(white), strict=True)
    # Tolerance of a thousandth, so that rounding does not put SDR white above SDR white.
    return np.array(colours, np.uint8)[np.searchsorted(np.array(edges) * 1.001, nits)]


def bands(white: float) -> list[tuple[float, tuple[int, int, int]]]:
    """Return the upper limits in nits and colours of all bands; the last grey one ends at `white`."""
    below = [(edge, colour) for edge, colour in BANDS[:-1] if edge < white] + [(white, BANDS[-1][1])]
    return below + [(edge, colour) for edge, colour in HIGHLIGHT_BANDS if edge > white]


def _fit(picture: Tensor) -> Tensor:
    """Return C x H x W at the size of a panel, with pixels averaged or repeated."""
    longest = max(picture.shape[1:])
    if longest > PANEL_SIZE:
        size = [max(1, round(side * PANEL_SIZE / longest)) for side in picture.shape[1:]]
        return torch.nn.functional.interpolate(picture.unsqueeze(0), size, mode="area")[0]
    factor = max(1, PANEL_SIZE // (2 * longest))
    return picture.repeat_interleave(factor, 1).repeat_interleave(factor, 2)


def _picture(code: Tensor) -> NDArray[np.uint8]:
    return (code.clamp(0.0, 1.0) * 255.0).round().byte().permute(1, 2, 0).numpy()


def _sheet(panels: list[tuple[str, NDArray[np.uint8]]], title: str, white: float) -> Image.Image:
    height, width = panels[0][1].shape[:2]
    column = max(width, PANEL_SIZE // 2)  # narrow pictures still get legible labels
    line = max(20, column // 32)
    top = _MARGIN + (line + _MARGIN if title else 0)
    sheet = Image.new("RGB", (3 * column + 4 * _MARGIN, top + line + height + 3 * line + 2 * _MARGIN), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    if title:
        _text(draw, (_MARGIN, _MARGIN), title, line * 0.85, sheet.width - 2 * _MARGIN, _INK)
    for number, (label, picture) in enumerate(panels):
        left = _MARGIN + number * (column + _MARGIN)
        _text(draw, (left, top), label, line * 0.75, column, _INK)
        sheet.paste(Image.fromarray(picture), (left + (column - width) // 2, top + line))
    _legend(draw, 3 * _MARGIN + 2 * column, top + line + height + _MARGIN, column, line, white)
    return sheet


def _legend(draw: ImageDraw.ImageDraw, left: int, top: int, width: int, line: int, white: float) -> None:
    """Draw a bar of all bands with their limits in nits; SDR white is marked."""
    all_bands = bands(white)
    step = width / len(all_bands)
    for number, (edge, colour) in enumerate(all_bands):
        start, end = left + number * step, left + (number + 1) * step
        draw.rectangle((start, top, end, top + line), fill=colour)
        if math.isfinite(edge):
            draw.text(
                (end, top + line + 6),
                f"{edge:g}",
                fill=_INK if edge == white else _FAINT,
                font=ImageFont.load_default(line * 0.6),
                anchor="mt",
            )
        if edge == white:
            draw.line((end, top - 6, end, top + line), fill=_INK, width=3)
            draw.text(
                (end, top + 1.75 * line + 6),
                "SDR white",
                fill=_INK,
                font=ImageFont.load_default(line * 0.6),
                anchor="mt",
            )


def _text(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, size: float, width: int, ink: tuple[int, ...]
) -> None:
    """Draw one line of text, smaller if it would not fit `width`."""
    length = draw.textlength(text, font=ImageFont.load_default(size))
    draw.text(corner, text, fill=ink, font=ImageFont.load_default(size * min(1.0, width / max(length, 1.0))))
